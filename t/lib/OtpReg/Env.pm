package OtpReg::Env;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# What every helper of t/lib shares: where the project and the files of this
# .t process are, free ports, child processes that end with us.
#
# root_dir()                         the checkout; a link to it where there
#                                    are spaces in its path
# base_dir()                         build/t of it; nothing is written elsewhere
# test_dir()                         base_dir()/PID of this .t, removed at end
# nginx_binary()  module_path()      what to test
# nginx_has($option)                 whether it was configured with this one
# http2()                            the word for "listen"; '' without HTTP/2
# free_port()                        a port of 127.0.0.1, ours until we exit
# start_process(\%opt, @command)     returns the pid; see below
# stop_process($pid, $signal, $seconds)  returns the wait status
# is_alive($pid)
# wait_until($code, $seconds, $step) what $code returned, true or the last
# slurp($path)  spew($path, $text, $mode)
# expand_env($text, %more)           replace $TEST_NGINX_X
# at_end($code)                      run it when this .t ends, however it ends
#                                    short of SIGKILL; the latest goes first

use v5.10.1;
use strict;
use warnings;

use Cwd ();
use Digest::MD5 qw(md5_hex);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(sleep time);
use Exporter 'import';

our @EXPORT_OK = qw(root_dir base_dir test_dir nginx_binary module_path
                    nginx_has http2 ld_preload free_port start_process stop_process is_alive
                    wait_until slurp spew expand_env at_end);

my $Root = plain_path(Cwd::abs_path(dirname(__FILE__) . '/../../..'));
my $Owner = $$;
my ($TestDir, $Interrupted, @AtEnd, @PortLocks);

# glob(), nginx.conf and shell commands would all need quotes

sub plain_path {
    my ($path) = @_;
    return $path if $path !~ /\s/;

    my $link = "/tmp/otpreg-$>-" . md5_hex($path);
    symlink $path, $link;
    die "$link is not a link to $path of ours\n"
        if (readlink($link) // '') ne $path || (lstat $link)[4] != $>;
    return $link;
}

sub root_dir { $Root }
sub base_dir { "$Root/build/t" }

# the directory of this .t process, made at the first call

sub test_dir {
    return $TestDir if defined $TestDir;

    make_path(base_dir());
    remove_stale();

    $TestDir = base_dir() . "/$Owner";
    remove_tree($TestDir);
    make_path($TestDir);
    chmod 0755, $TestDir;

    return $TestDir;
}

# kept after a failure for the one who looks for the cause, for an hour

sub remove_stale {
    for my $dir (glob(base_dir() . '/*')) {
        my ($pid) = $dir =~ m{/(\d+)$} or next;
        my $mtime = (stat $dir)[9] or next;

        next if $pid == $$ || is_alive($pid) || time() - $mtime < 3600;
        remove_tree($dir, { error => \my $ignored });
    }
}

sub nginx_binary {
    return $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};

    for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin',
                 '/usr/local/nginx/sbin')
    {
        return "$dir/nginx" if -x "$dir/nginx" && -f _;
    }

    return '/usr/sbin/nginx';
}

sub nginx_has {
    my ($option) = @_;
    state %has;

    my $binary = nginx_binary();
    $has{$binary} //= `'$binary' -V 2>&1`;
    return $has{$binary} =~ /\s--\Q$option\E(?:\s|$)/;
}

sub http2 { nginx_has('with-http_v2_module') ? ' http2' : '' }

# path of the module to load; '' if it is linked into nginx

sub module_path {
    my $path = $ENV{OTPREG_MODULE} // "$Root/build/ngx_http_otpreg_module.so";

    return '' if $path eq '';
    return $path =~ m{^/} ? $path : "$Root/$path";
}

# what to set before exec of nginx, as Test::Nginx does

sub ld_preload {
    return grep { defined && length } $ENV{TEST_NGINX_LD_PRELOAD},
                                      $ENV{LD_PRELOAD};
}

# A TCP port of 127.0.0.1 that is ours until we exit: below the range the
# kernel takes for outgoing connections, and locked against other .t processes
# of this checkout; where several checkouts are tested at once, OTPREG_PORTS
# names a directory that they share for these locks.

sub free_port {
    my $dir = $ENV{OTPREG_PORTS} // base_dir() . '/ports';
    make_path($dir);

    for (1 .. 1000) {
        my $port = 12000 + int rand 20000;

        open my $lock, '>>', "$dir/$port" or next;
        flock($lock, LOCK_EX | LOCK_NB) or next;

        my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                         LocalPort => $port, Listen => 1,
                                         ReuseAddr => 1)
            or next;
        close $sock;

        push @PortLocks, $lock;
        return $port;
    }

    die "no free port found\n";
}

# a zombie that init has not reaped yet is not

sub is_alive {
    my ($pid) = @_;
    return (kill(0, $pid) || $!{EPERM})
           && (slurp("/proc/$pid/stat") // ') R') !~ /\) Z/;
}

# Run a program as our child, in a process group of its own.  Options:
#
# log      file for its output
# pipe     instead: returns (pid, handle to read its standard output)
# signal   what the kernel sends it when we are killed (KILL)

sub start_process {
    my ($opt, @cmd) = @_;

    state $setpriv = grep { -x "$_/setpriv" } qw(/usr/bin /bin);
    unshift @cmd, 'setpriv', '--pdeathsig', $opt->{signal} // 'KILL'
        if $setpriv;

    my ($reader, $writer);
    !$opt->{pipe} || pipe $reader, $writer or die "pipe: $!\n";

    my $pid = fork() // die "fork: $!\n";
    return $reader ? ($pid, $reader) : $pid if $pid;

    # no Perl code of the parent's may run here, whatever happens
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD __DIE__);
    setpgrp;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $opt->{log} // '/dev/null';
    open STDERR, '>>&', \*STDOUT;
    open STDOUT, '>&', $writer if $writer;

    { no warnings 'exec'; exec @cmd; }
    print STDERR "exec $cmd[0]: $!\n";
    POSIX::_exit(127);
}

# Send a signal and reap; SIGKILL after $seconds.  Returns the wait status.

sub stop_process {
    my ($pid, $signal, $seconds) = @_;

    kill $signal, $pid;

    my $gone = wait_until(sub { waitpid($pid, WNOHANG) != 0 },
                          $seconds // 20);
    return $? if $gone;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    return $?;
}

# call $code until it is true, at most $seconds (5); returns what it returned

sub wait_until {
    my ($code, $seconds, $step) = @_;
    my $until = time() + ($seconds // 5);

    while (1) {
        my $result = $code->();
        return $result if $result || time() >= $until;
        sleep($step // 0.01);
    }
}

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or return;
    local $/;
    return scalar(<$in>) // '';
}

# a reader never sees half a file

sub spew {
    my ($path, $text, $mode) = @_;
    open my $out, '>:raw', "$path.$$.tmp" or die "$path: $!\n";
    chmod $mode, $out if defined $mode;
    print $out $text;
    close $out or die "$path: $!\n";
    rename "$path.$$.tmp", $path or die "$path: $!\n";
    return $path;
}

sub expand_env {
    my ($text, %more) = @_;
    return '' if !defined $text;
    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}
              {$more{$1} // $ENV{$1} // die "no environment $1 defined\n"}ge;
    return $text;
}

sub at_end {
    my ($code) = @_;
    unshift @AtEnd, $code;
}

# an interrupted .t must still stop its servers, once; PIPE: prove is gone

for my $signal (qw(INT TERM HUP PIPE)) {
    $SIG{$signal} //= sub {
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
        POSIX::_exit(130) if $$ != $Owner;
        $Interrupted = 1;
        exit 130;
    };
}

END {
    if ($$ == $Owner) {
        my $status = $?;
        local ($?, $!, $@);
        local $SIG{PIPE} = 'IGNORE';    # prove may be gone
        local $SIG{__DIE__} = 'DEFAULT';

        eval { $_->(); 1 } or warn $@ for @AtEnd;

        if (defined $TestDir) {
            if ($Interrupted || $ENV{OTPREG_CLEAN}
                || Test::More->builder->is_passing && !$status)
            {
                remove_tree($TestDir, { error => \my $ignored });

            } else {
                print STDERR "# logs are kept in $TestDir\n";
            }
        }
    }
}

1;
