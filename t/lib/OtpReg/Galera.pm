package OtpReg::Galera;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A cluster of MariaDB nodes with Galera: 127.0.1.1, 127.0.1.2 and so on with
# one port, data under build/galera.  As root they run as "nobody", for the
# transfer of a state by rsync fails as root.
#
# OtpReg::Galera->start(%opt)   nodes => 3; the first one has the tables, the
#               others get them by a transfer (SST); dies when they do not.
#               One cluster a checkout: it waits for another one's end
# nodes()       their numbers, from 0
# host($k)  port()
# sql($k, $statements, $database)   on this node, which has seen by then what
#               was committed on others
# use_node($k)  OtpReg::DB's sql() asks this one from now on
# status($k, $name)      of SHOW GLOBAL STATUS; undef without an answer
# wait_synced($seconds, @k)   until all of them (all) serve, in one cluster of
#               just them; false when the time is up
# crash($k)     kill -9        leave($k)   a clean shutdown
# freeze($k)  thaw($k)         SIGSTOP and SIGCONT
# isolate($k, $on)             what the others send does not reach it
# wipe($k)      its data are gone; only when it does not run
# join($k)      run it again, after crash() or leave()
# transfer($k)  how it got what it had missed since it was run, thawed or isolated:
#               'IST', 'SST' (all anew), ''
# log($k)
# tables_differ()        what is not the same on all nodes
# versions()             of server and provider

use v5.10.1;
use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use OtpReg::DB ();
use OtpReg::Env qw(root_dir free_port start_process stop_process is_alive
                   wait_until slurp at_end);

my $Provider = '/usr/lib/galera/libgalera_smm.so';

sub start {
    my ($class, %opt) = @_;
    my $self = bless { nodes => 3, %opt, dir => root_dir() . '/build/galera',
                       pid => [] }, $class;

    -e $Provider or die "$Provider is missing: make galera installs it\n";
    $self->prepare_dir;
    @$self{qw(port group ist sst)} = map { free_port() } 1 .. 4;
    at_end(sub { $self->end });

    $ENV{TEST_NGINX_DB_PORT} = $self->{port};
    $ENV{TEST_NGINX_DB_SOCKET} = '/none';
    $ENV{TEST_NGINX_DB_USER} = 'otpreg';
    $ENV{TEST_NGINX_DB_PASSWORD} = 'otpreg-test';
    $ENV{TEST_NGINX_DB_NAME} = 'otpreg';

    OtpReg::DB::copy_template($self->data(0));
    $self->own($self->data(0));
    $self->begin(0, '--wsrep-new-cluster');

    for my $k ($self->nodes) {
        $self->join($k) if $k;
        $self->wait_synced(120, 0 .. $k)
            or die "node $k does not come up:\n", $self->log($k);
    }

    return $self;
}

sub nodes { 0 .. $_[0]{nodes} - 1 }
sub host  { '127.0.1.' . ($_[1] + 1) }
sub port  { $_[0]{port} }
sub data  { "$_[0]{dir}/data$_[1]" }

sub prepare_dir {
    my ($self) = @_;
    my $dir = $self->{dir};

    make_path($dir);
    open $self->{lock}, '>>', "$dir/lock" or die "$dir: $!\n";
    flock $self->{lock}, LOCK_EX or die "flock: $!\n";
    remove_tree(grep { !m{/lock$} } glob "$dir/*");

    make_path(map { ($self->data($_), "$dir/tmp$_") } $self->nodes);
    rmdir $self->data(0);
    $self->own($dir);

    system($self->as_nobody, 'test', '-w', $self->data(1)) == 0
        or die "\"nobody\" must be able to write in $dir: a directory above it"
               . " is closed to others\n";
}

# of the one who runs the nodes

sub own {
    my ($self, $path) = @_;
    return if $> != 0;
    system('chown', '-R', 'nobody:nogroup', $path) == 0 or die "chown $path\n";
}

sub as_nobody {
    return $> != 0 ? ()
        : qw(setpriv --reuid nobody --regid nogroup --clear-groups
             --pdeathsig KILL);
}

sub end {
    my ($self) = @_;

    $self->crash($_) for $self->nodes;

    # a transfer that was cut off may have left an rsync of ours

    for (glob '/proc/[0-9]*/cmdline') {
        my ($pid) = m{(\d+)/cmdline};
        kill 'KILL', $pid if $pid != $$ && index(slurp($_) // '',
                                                 "$self->{dir}/") >= 0;
    }

    remove_tree(map { ($self->data($_), "$self->{dir}/tmp$_") } $self->nodes);
}

# ----- one node

sub arguments {
    my ($self, $k) = @_;
    my ($host, $dir) = ($self->host($k), $self->{dir});
    my %provider = (
        base_host => $host, base_port => $self->{group},
        'gmcast.listen_addr' => "tcp://$host:$self->{group}",
        'ist.recv_addr' => "$host:$self->{ist}", 'gcache.size' => '64M');

    return (@OtpReg::DB::Small, @OtpReg::DB::Small_mariadb,
            "--datadir=" . $self->data($k),
        "--tmpdir=$dir/tmp$k", '--socket=mysqld.sock', "--pid-file=pid",
        "--bind-address=$host", "--port=$self->{port}", '--skip-name-resolve',
        qw(--max-connections=300 --innodb-buffer-pool-size=64M
           --innodb-flush-log-at-trx-commit=2 --binlog-format=ROW
           --innodb-autoinc-lock-mode=2 --wsrep-on=ON
           --wsrep-cluster-name=otpreg --wsrep-sst-method=rsync),
        "--wsrep-provider=$Provider", "--wsrep-node-name=node$k",
        "--wsrep-node-address=$host",
        "--wsrep-sst-receive-address=$host:$self->{sst}",
        '--wsrep-provider-options='
            . CORE::join('; ', map { "$_=$provider{$_}" } sort keys %provider),
        '--wsrep-cluster-address=gcomm://'
            . CORE::join(',', map { $self->host($_) . ":$self->{group}" }
                              $self->nodes));
}

sub begin {
    my ($self, $k, @more) = @_;

    $self->mark($k);
    $self->{pid}[$k] = start_process({ log => "$self->{dir}/node$k.log" },
        $self->as_nobody, 'mariadbd', $self->arguments($k), @more);
}

# A node that was killed tells from its tables how far it had come; without
# that it would get everything anew.

sub join {
    my ($self, $k) = @_;
    my $recovery = "$self->{dir}/recovery$k.log";
    my @at;

    if (-d $self->data($k) . '/mysql') {
        unlink $recovery;
        my $pid = start_process({ log => $recovery }, $self->as_nobody,
            'mariadbd', $self->arguments($k), '--wsrep-recover');
        waitpid $pid, 0;
        my ($position) = slurp($recovery) =~ /Recovered position:\s*(\S+)/;
        @at = "--wsrep-start-position=$position" if $position;
    }

    $self->begin($k, @at);
}

sub crash {
    my ($self, $k) = @_;
    my $pid = $self->{pid}[$k] or return;
    $self->{pid}[$k] = undef;
    stop_process($pid, 'KILL', 5);
    kill 'KILL', -$pid;
}

sub leave {
    my ($self, $k) = @_;
    my $pid = $self->{pid}[$k] or return;
    $self->{pid}[$k] = undef;
    stop_process($pid, 'TERM', 60);
}

sub freeze { kill 'STOP', $_[0]{pid}[$_[1]] }

sub thaw {
    my ($self, $k) = @_;
    $self->mark($k);
    kill 'CONT', $self->{pid}[$k];
}

sub isolate {
    my ($self, $k, $on) = @_;
    $self->mark($k) if $on;
    $self->ask($k, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate="
                   . ($on ? 1 : 0) . "'", 'mysql');
}

sub wipe {
    my ($self, $k) = @_;
    remove_tree($self->data($k), { keep_root => 1 });
}

sub log { slurp("$_[0]{dir}/node$_[1].log") // '' }

sub transfer {
    my ($self, $k) = @_;
    my $log = substr $self->log($k), $self->{mark}[$k];
    return $log =~ /SST succeeded/ ? 'SST' : $log =~ /IST received/ ? 'IST' : '';
}

sub mark { $_[0]{mark}[$_[1]] = length $_[0]->log($_[1]) }

# ----- SQL

sub client {
    my ($self, $k) = @_;
    return '-h ' . $self->host($k) . " -P $self->{port} --connect-timeout=3";
}

sub waiting_client {
    my ($self, $k) = @_;
    return $self->client($k)
           . " --init-command='SET SESSION wsrep_sync_wait = 15'";
}

sub use_node { $OtpReg::DB::Server = $_[0]->waiting_client($_[1]) }

sub sql {
    my ($self, $k, @statement) = @_;
    local $OtpReg::DB::Server = $self->waiting_client($k);
    return OtpReg::DB::sql(@statement);
}

# whatever state it is in

sub ask {
    my ($self, $k, @statement) = @_;
    local $OtpReg::DB::Server = $self->client($k);
    return OtpReg::DB::sql(@statement);
}

sub status {
    my ($self, $k, $name) = @_;

    return if !IO::Socket::INET->new(PeerAddr => $self->host($k),
                                     PeerPort => $self->{port}, Timeout => 1);
    my ($row) = eval { $self->ask($k, "SHOW GLOBAL STATUS LIKE '$name'",
                                  'mysql') };
    return $row && $row->[1];
}

sub wait_synced {
    my ($self, $seconds, @k) = @_;
    @k = $self->nodes if !@k;

    return wait_until(sub {
        for my $k (@k) {
            my $pid = $self->{pid}[$k] // return 0;
            waitpid($pid, WNOHANG) == 0
                or die "node $k has ended:\n", $self->log($k);
            return 0
                if ($self->status($k, 'wsrep_ready') // '') ne 'ON'
                   || $self->status($k, 'wsrep_local_state_comment') ne 'Synced'
                   || $self->status($k, 'wsrep_cluster_size') != @k;
        }
        1;
    }, $seconds, 0.5);
}

# By their rows: CHECKSUM TABLE tells equal rows with a NULL apart.

sub tables_differ {
    my ($self) = @_;
    my %found;

    for my $table (qw(otpreg_schema users otps messages budgets sends
                      sms_sends sms_totals mail_totals))
    {
        for my $k ($self->nodes) {
            my @rows = map { CORE::join "\t", map { $_ // 'NULL' } @$_ }
                       $self->sql($k, "SELECT * FROM $table ORDER BY 1, 2");
            $found{$table}{ md5_hex(CORE::join "\n", @rows) }++;
        }
    }

    return grep { keys %{ $found{$_} } > 1 } sort keys %found;
}

sub versions {
    my ($self) = @_;
    return 'MariaDB ' . $self->ask(0, 'SELECT VERSION()') . ', Galera '
           . $self->status(0, 'wsrep_provider_version');
}

1;
