package OtpReg::DB;

# A private mariadbd for one .t process: own data directory (a copy of a
# template that is made once), own socket, killed when the process ends.

use v5.10.1;
use strict;
use warnings;

use Fcntl qw(:flock);
use File::Path qw(remove_tree);
use File::Temp ();
use IO::Socket::UNIX;
use OtpReg::Env qw(root_dir base_dir test_dir free_port start_process
                   stop_process wait_until slurp at_end);
use Exporter 'import';

our @EXPORT = qw(sql sql_file db_start db_stop db_kill db_freeze db_thaw
                 db_reset db_log);

my ($Pid, $Socket, $Port, @Args);

my @Small = qw(--no-defaults --innodb-log-file-size=8M
               --innodb-buffer-pool-size=16M --key-buffer-size=1M
               --aria-pagecache-buffer-size=1M --loose-skip-log-bin
               --innodb-temp-data-file-path=ibtmp1:4M:autoextend);

sub user_args {
    return $> == 0 ? '--user=root' : ();
}

# Start for the first time and export TEST_NGINX_DB_*.
#
# tcp   also listen on 127.0.0.1, TEST_NGINX_DB_PORT
# args  more arguments for mariadbd, kept over db_stop() and db_start()

sub setup {
    my (%opt) = @_;

    my $dir = test_dir();

    if (length("$dir/db.sock") > 100) {
        $dir = File::Temp::tempdir('/tmp/otpreg-XXXXXX');
        at_end(sub { remove_tree($dir) });
    }

    $Socket = "$dir/db.sock";
    $Port = free_port() if $opt{tcp};
    @Args = @{ $opt{args} // [] };

    copy_template(test_dir() . '/db');
    at_end(\&teardown);
    db_start();

    run_client('mysql', "CREATE DATABASE otpreg CHARACTER SET utf8mb4;\n"
               . join('', map {
                     "CREATE USER otpreg\@'$_' IDENTIFIED BY 'otpreg-test';\n"
                     . "GRANT ALL ON otpreg.* TO otpreg\@'$_';\n"
                 } qw(localhost 127.0.0.1)));

    $ENV{TEST_NGINX_DB_SOCKET} = $Socket;
    $ENV{TEST_NGINX_DB_PORT} = $Port // 0;
    $ENV{TEST_NGINX_DB_USER} = 'otpreg';
    $ENV{TEST_NGINX_DB_PASSWORD} = 'otpreg-test';
    $ENV{TEST_NGINX_DB_NAME} = 'otpreg';

    my $schema = root_dir() . '/sql/schema.sql';
    sql_file($schema) if -s $schema && !$opt{no_schema};
}

# a power failure is fine for a directory that is deleted next

sub teardown {
    db_kill() if $Pid;
    remove_tree(test_dir() . '/db', { error => \my $ignored });
}

sub copy_template {
    my ($to) = @_;

    my $base = base_dir();
    my $template = "$base/db-template";

    open my $lock, '>>', "$base/db-template.lock" or die "$base: $!\n";
    flock($lock, LOCK_EX) or die "flock: $!\n";

    if (!-d $template) {
        remove_tree("$template.new");

        my $out = "$base/db-template.log";
        system('mariadb-install-db ' . join(' ', @Small, user_args(),
               "--datadir='$template.new'", '--skip-test-db',
               '--auth-root-authentication-method=normal')
               . " >'$out' 2>&1") == 0
            or die "mariadb-install-db failed:\n", slurp($out);
        rename "$template.new", $template or die "$template: $!\n";
    }

    system('cp', '-a', '--reflink=auto', $template, $to) == 0
        or die "cannot copy $template\n";
    close $lock;
}

# args: more arguments for this start only

sub db_start {
    my (@args) = @_;

    return if $Pid;

    my $log = test_dir() . '/db.log';
    my @net = $Port ? ('--bind-address=127.0.0.1', "--port=$Port",
                       '--skip-name-resolve')
                    : '--skip-networking';

    $Pid = start_process($log, 'mariadbd', @Small, user_args(), @net,
                         '--datadir=' . test_dir() . '/db',
                         "--socket=$Socket",
                         '--pid-file=' . test_dir() . '/db.pid',
                         '--innodb-flush-log-at-trx-commit=2',
                         '--max-connections=300', @Args, @args);

    wait_until(sub { IO::Socket::UNIX->new(Peer => $Socket)
                     || waitpid($Pid, 1) }, 60);

    if (!kill 0, $Pid) {
        $Pid = undef;
        die "mariadbd does not start:\n", slurp($log);
    }

    return 1;
}

sub db_stop {
    my $pid = $Pid or return;
    $Pid = undef;
    kill 'CONT', $pid;
    stop_process($pid, 'TERM', 30);
    unlink $Socket;
    return 1;
}

# as a crash: what was committed is there again after db_start()

sub db_kill {
    my $pid = $Pid or return;
    $Pid = undef;
    stop_process($pid, 'KILL', 5);
    unlink $Socket;
    return 1;
}

# the server is there, accepts connections and answers nothing

sub db_freeze { kill 'STOP', $Pid }
sub db_thaw   { kill 'CONT', $Pid }

sub db_log { slurp(test_dir() . '/db.log') }

sub run_client {
    my ($database, $input) = @_;

    my $base = test_dir() . "/sql.$$";
    OtpReg::Env::spew("$base.in", $input);
    system("mariadb --no-defaults --default-character-set=utf8mb4 -uroot"
           . " -N -B -S '$Socket' '$database'"
           . " <'$base.in' >'$base.out' 2>'$base.err'");
    my ($rc, $out, $err) = ($?, slurp("$base.out"), slurp("$base.err"));
    unlink map { "$base.$_" } qw(in out err);

    die "$err" || "mariadb failed ($rc)\n" if $rc != 0;
    return $out;
}

# One or more statements, as root.  Returns the rows as array references, NULL
# as undef; in scalar context the first column of the first row.  Use HEX() for
# binary columns.  Dies with the server's message.

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
