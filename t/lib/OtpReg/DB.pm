package OtpReg::DB;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A private mariadbd, or mysqld where there is no mariadbd, for one .t process:
# own data directory (a copy of build/t/template, which is made once and has
# sql/schema.sql loaded), own socket, killed when the process ends.
# "use OtpReg" starts it; it exports
#
# sql($statements, $database)     run as root, in "otpreg" unless told; rows as
#                                 array references, in scalar context the first
#                                 column of the first row; dies with the
#                                 server's message
# sql_file($path, $database)      run a file; returns the raw output
# db_start(@args)                 after db_stop() or db_kill(), on the same
#                                 data; arguments for the server, this time only
# db_stop()                       a clean shutdown
# db_kill()                       a crash; what was committed is there again
#                                 after db_start()
# db_freeze()  db_thaw()          it accepts connections but answers nothing
# db_running()                    its pid, or undef
# db_reset()                      empty all tables but the schema version's
# db_fill()  db_unfill()          no space is left on its disk, and again; the
#                                 former returns false without a disk
# db_log()                        what the server wrote so far
# db_is_mysql()                   whether it is MySQL, not MariaDB
# db_client()                     the client's program, and its first arguments
# db_status($name)                of SHOW GLOBAL STATUS
# db_processlist()                the table of connections
# db_seq($n)                      a table of the column seq, from 1 to $n
#
# $OtpReg::DB::Server is not exported: arguments of the client by which sql()
# reaches another server than this one, see OtpReg::Galera.

use v5.10.1;
use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use OtpReg::Env qw(root_dir base_dir test_dir free_port start_process
                   stop_process is_alive wait_until slurp spew at_end);
use Exporter 'import';

our @EXPORT = qw(sql sql_file db_start db_stop db_kill db_freeze db_thaw
                 db_running db_reset db_fill db_unfill db_log db_is_mysql
                 db_client db_status db_processlist db_seq);

our $Server;
my ($Pid, $Data, $Socket, $Port, $Disk, @Args);

our @Small = qw(--no-defaults --innodb-buffer-pool-size=16M
               --key-buffer-size=1M --loose-skip-log-bin);

our @Small_mariadb = qw(--innodb-log-file-size=8M
                       --aria-pagecache-buffer-size=1M
                       --innodb-temp-data-file-path=ibtmp1:4M:autoextend
                       --max-recursive-iterations=1000000);

# without TLS, as MariaDB is without a certificate
my @Small_mysql = qw(--innodb-redo-log-capacity=8M --mysqlx=OFF
                     --tls-version= --cte-max-recursion-depth=1000000);

sub server {
    state $server = do {
        my @dirs = (split(/:/, $ENV{PATH} // ''), qw(/usr/sbin /usr/local/sbin));
        my ($found) = grep { -x } map { my $name = $_; map { "$_/$name" } @dirs }
                      qw(mariadbd mysqld);
        $found // die "neither mariadbd nor mysqld is installed\n";
    };

    return $server;
}

sub db_is_mysql { server() !~ /mariadbd$/ }

sub db_client { (db_is_mysql() ? 'mysql' : 'mariadb', '--no-defaults') }

sub common_args {
    return @Small, db_is_mysql() ? @Small_mysql : @Small_mariadb,
           $> == 0 ? '--user=root' : ();
}

# Start for the first time and export TEST_NGINX_DB_*.
#
# tcp   also listen on 127.0.0.1, TEST_NGINX_DB_PORT
# args  more arguments for the server, kept over db_stop() and db_start()
# disk  the size of a file system for its data, if we may mount one

sub setup {
    my (%opt) = @_;

    at_end(\&teardown);
    mount_disk($opt{disk}) if $opt{disk};
    my $data = ($Disk // test_dir()) . '/db';
    copy_template($data);

    $Data = $data;
    $Port = free_port() if $opt{tcp};
    @Args = @{ $opt{args} // [] };
    db_start();

    $ENV{TEST_NGINX_DB_SOCKET} = $Socket;
    $ENV{TEST_NGINX_DB_PORT} = $Port // 0;
    $ENV{TEST_NGINX_DB_USER} = 'otpreg';
    $ENV{TEST_NGINX_DB_PASSWORD} = 'otpreg-test';
    $ENV{TEST_NGINX_DB_NAME} = 'otpreg';
}

# The path of a socket has 107 bytes at most: the one thing that is outside the
# checkout, if that is too deep.

sub socket_dir {
    my $dir = test_dir();

    if (length($dir) > 95) {
        $dir = File::Temp::tempdir('otpreg-XXXXXX', TMPDIR => 1);
        chmod 0755, $dir;
        at_end(sub { remove_tree($dir) });
    }

    return $dir;
}

# a power failure is fine for a directory that is deleted next

sub teardown {
    db_kill() if $Pid;
    system('umount', '-l', $Disk) if $Disk;
    remove_tree(test_dir() . '/db', base_dir() . "/template.new.$$",
                { error => \my $ignored });
}

sub mount_disk {
    my ($size) = @_;

    for my $stale (glob base_dir() . '/*/disk') {
        my ($pid) = $stale =~ m{/(\d+)/disk$};
        system("umount -l '$stale' 2>/dev/null") if $pid && !is_alive($pid);
    }

    my $disk = test_dir() . '/disk';
    make_path($disk);
    $Disk = $disk
        if system("mount -t tmpfs -o size=$size tmpfs '$disk' 2>/dev/null")
           == 0;
}

sub db_fill {
    return if !$Disk;

    open my $out, '>', "$Disk/full" or return;

    for my $size (1 << 20, 4096) {
        1 while syswrite $out, "\0" x $size;
    }

    return 1;
}

sub db_unfill { $Disk && unlink "$Disk/full" }

sub copy_template {
    my ($to) = @_;

    my $base = base_dir();
    $Socket //= socket_dir() . '/db.sock';

    open my $lock, '>>', "$base/template.lock" or die "$base: $!\n";
    flock($lock, LOCK_EX) or die "flock: $!\n";

    my $stamp = template_stamp();
    make_template($stamp) if (slurp("$base/template/stamp") // '') ne $stamp;

    system('cp', '-R', '-p', "$base/template/data", $to) == 0
        or die "cannot copy $base/template/data\n";
    close $lock;
}

# a template is made anew when this changes: the schema, the server, this file

sub template_stamp {
    my $server = server();

    return md5_hex(map { slurp($_) } schema(), __FILE__)
           . " $server " . join ' ', (stat $server)[7, 9];
}

sub schema { root_dir() . '/sql/schema.sql' }

sub make_template {
    my ($stamp) = @_;

    my $new = base_dir() . "/template.new.$$";
    my $out = "$new/install.log";

    remove_tree(glob(base_dir() . '/template.new.*'));
    make_path("$new/tmp");

    my @install = db_is_mysql()
        ? (server(), common_args(), '--initialize-insecure')
        : ('mariadb-install-db', common_args(), '--skip-test-db',
           '--auth-root-authentication-method=normal');

    system(join(' ', map { "'$_'" } @install, "--datadir=$new/data",
                                    "--tmpdir=$new/tmp")
           . " >'$out' 2>&1") == 0
        or die "$install[0] failed:\n", slurp($out);

    $Data = "$new/data";
    db_start('--skip-networking');

    run_client('mysql', "CREATE DATABASE otpreg CHARACTER SET utf8mb4;\n"
               . join('', map {
                     "CREATE USER otpreg\@'$_' IDENTIFIED BY 'otpreg-test';\n"
                     . "GRANT ALL ON otpreg.* TO otpreg\@'$_';\n"
                 } qw(localhost 127.0.0.1)));
    sql_file(schema());
    db_stop();

    spew("$new/stamp", $stamp);
    my $template = base_dir() . '/template';
    remove_tree($template);
    rename $new, $template or die "$template: $!\n";
}

sub db_start {
    my (@args) = @_;

    return 1 if $Pid;

    my $log = test_dir() . '/db.log';
    my @net = $Port ? ('--bind-address=127.0.0.1', "--port=$Port",
                       '--skip-name-resolve')
                    : '--skip-networking';

    make_path(test_dir() . '/db.tmp');
    $Pid = start_process({ log => $log }, server(), common_args(), @net,
                         "--datadir=$Data", "--socket=$Socket",
                         '--tmpdir=' . test_dir() . '/db.tmp',
                         '--pid-file=' . test_dir() . '/db.pid',
                         '--innodb-flush-log-at-trx-commit=2',
                         '--max-connections=300', @Args, @args);

    my $ended;
    my $up = wait_until(sub {
        ($ended = waitpid($Pid, WNOHANG)) || IO::Socket::UNIX->new($Socket);
    }, 60);
    return 1 if $up && !$ended;

    $ended ? ($Pid = undef) : db_kill();
    die server() . " does not start:\n", slurp($log);
}

sub db_stop {
    my $pid = $Pid or return;
    $Pid = undef;
    kill 'CONT', $pid;
    stop_process($pid, 'TERM', 30);
    unlink $Socket;
    return 1;
}

sub db_kill {
    my $pid = $Pid or return;
    $Pid = undef;
    stop_process($pid, 'KILL', 5);
    unlink $Socket;
    return 1;
}

# its threads stop a moment after the signal

sub db_freeze {
    return if !$Pid;

    kill 'STOP', $Pid;
    wait_until(sub {
        !grep { (slurp($_) // ' T ') !~ /\) T / } glob "/proc/$Pid/task/*/stat"
    }, 10);
}

sub db_thaw    { $Pid && kill 'CONT', $Pid }
sub db_running { $Pid }
sub db_log     { slurp(test_dir() . '/db.log') // '' }

sub run_client {
    my ($database, $input) = @_;

    utf8::encode($input) if utf8::is_utf8($input);
    my $base = test_dir() . "/sql.$$";
    my $server = $Server // "-S '$Socket'";
    spew("$base.in", $input);
    system(join(' ', db_client()) . ' --default-character-set=utf8mb4 -uroot'
           . " -N -B $server '$database'"
           . " <'$base.in' >'$base.out' 2>'$base.err'");
    my ($rc, $out, $err) = ($?, slurp("$base.out"), slurp("$base.err"));
    unlink map { "$base.$_" } qw(in out err);

    die "$err" || "the client failed ($rc)\n" if $rc != 0;
    return $out;
}

# NULL becomes undef; text is UTF-8, in bytes.  Use HEX() for binary columns.

sub sql {
    my ($statement, $database) = @_;

    my %plain = (n => "\n", t => "\t", 0 => "\0", '\\' => '\\');
    my @rows = map {
        [ map { $_ eq 'NULL' ? undef : s/\\([nt0\\])/$plain{$1}/gr }
              split /\t/, $_, -1 ]
    } split /\n/, run_client($database // 'otpreg', "$statement;\n");

    return @rows if wantarray;
    return @rows ? $rows[0][0] : undef;
}

sub sql_file {
    my ($path, $database) = @_;
    run_client($database // 'otpreg', slurp($path) // die "$path: $!\n");
}

sub db_status {
    my ($name) = @_;
    my ($row) = sql("SHOW GLOBAL STATUS LIKE '$name'");
    return $row->[1];
}

sub db_processlist {
    return (db_is_mysql() ? 'performance' : 'information')
           . '_schema.processlist';
}

sub db_seq {
    my ($n) = @_;
    return "(WITH RECURSIVE s AS (SELECT 1 AS seq UNION ALL SELECT seq + 1"
           . " FROM s WHERE seq < $n) SELECT seq FROM s) seq";
}

# empty all tables but that of the schema version

sub db_reset {
    my @tables = map { $_->[0] } sql(
        "SELECT table_name FROM information_schema.tables"
        . " WHERE table_schema = 'otpreg' AND table_type = 'BASE TABLE'");

    sql(join ';', 'SET foreign_key_checks = 0',
        map { "DELETE FROM `$_`" } grep { !/schema|version|migration/ }
        @tables);
}

1;
