# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A callout whose answer nginx reads from its cache by a thread (file AIO) that
# does not come back in time: by then its time is over and its client has left,
# and the thread still writes into what belongs to it.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Env ();
use OtpReg::Nginx;
use OtpReg::Provider;
use OtpReg::SignUp qw(form);
use Digest::SHA qw(sha1_hex);
use IO::Socket::INET;
use Test::More;

my $dir = test_dir();
my $port = provider_start();

# reads of the cache by a thread wait while the file "stall" is there; "reads"
# has a line for each that waited

spew("$dir/stall.c", <<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t
pread64(int fd, void *buf, size_t n, off_t offset)
{
    char     path[4096], link[64];
    ssize_t  len;
    FILE    *out;

    static ssize_t (*next)(int, void *, size_t, off_t);

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = '\0';

    if (syscall(SYS_gettid) != getpid() && strstr(path, "/ranges/")
        && access(STALL, F_OK) == 0)
    {
        out = fopen(READS, "a");
        fputs("read\n", out);
        fclose(out);

        while (access(STALL, F_OK) == 0) {
            usleep(20000);
        }
    }

    if (next == NULL) {
        next = (ssize_t (*)(int, void *, size_t, off_t))
                   dlsym(RTLD_NEXT, "pread64");
    }

    return next(fd, buf, n, offset);
}

ssize_t
pread(int fd, void *buf, size_t n, off_t offset)
{
    return pread64(fd, buf, n, offset);
}
END

system("gcc -shared -fPIC -O1 -DSTALL='\"$dir/stall\"'"
       . " -DREADS='\"$dir/reads\"' -o $dir/stall.so $dir/stall.c -ldl"
       . " 2>$dir/gcc.log") == 0 or BAIL_OUT(slurp("$dir/gcc.log"));

# a sanitizer's library otherwise wants to be the first one

$ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS},
                          'verify_asan_link_order=0';
$ENV{TEST_NGINX_LD_PRELOAD} = join ' ', grep { defined && length }
                                   $ENV{TEST_NGINX_LD_PRELOAD},
                                   "$dir/stall.so";

my $nginx = OtpReg::Nginx->start(default_config() . <<"END",
location = /breach {
    internal;
    aio threads;
    proxy_cache ranges;
    proxy_cache_valid 200 1h;
    proxy_cache_key \$otpreg_password_prefix;
    proxy_pass http://127.0.0.1:$port/range/\$otpreg_password_prefix;
}
otpreg_password_breach_check /breach timeout=500ms;
END
    log_level => 'info', http_config => default_http_config() . <<"END");
proxy_cache_path $dir/ranges keys_zone=ranges:1m;
otpreg_password_hash memory=7m operations=5;
END


sub reads {
    return 0 if !-e "$dir/reads";
    return scalar(() = slurp("$dir/reads") =~ /^read$/mg);
}

sub stalled {
    my ($while) = @_;
    spew("$dir/stall", '');
    $while->();
    unlink "$dir/stall";
    return;
}

sub open_post {
    my $form = form();
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $nginx->port) || die "$!\n";
    my $body = OtpReg::HTTP::form_encode(%$form);
    print $sock "POST /register HTTP/1.1\r\nHost: localhost\r\n"
              . "Content-Type: application/x-www-form-urlencoded\r\n"
              . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $sock;
}

provider_behave({ status => 200,
                  body => substr(uc(sha1_hex('another')), 5) . ":1\r\n" });
is $nginx->http('POST', '/register', json => form())->{status}, 201,
   'a password that is in no list, for the cache';
is $nginx->http('POST', '/register', json => form())->{status}, 201,
   'the same, from the cache';
is scalar(provider_requests()), 1, 'the provider was asked once';


subtest 'the time of the callout ends before the thread' => sub {
    my $sock;
    stalled(sub {
        my $before = reads();
        $sock = open_post();
        ok wait_until(sub { reads() > $before }, 20), 'a thread reads';
        select undef, undef, undef, 1;
        is $nginx->http('GET', '/none')->{status}, 404, 'the worker goes on';
    });
    my $raw = do { local $/; shutdown $sock, 1; <$sock> };
    like $raw, qr{^HTTP/1\.1 303 }, 'then it is answered, with fail=open';
};


subtest 'the client leaves before the thread' => sub {
    stalled(sub {
        my $before = reads();
        my @socks = map { open_post() } 1 .. 4;
        ok wait_until(sub { reads() > $before }, 20), 'a thread reads';
        close $_ for @socks;
        select undef, undef, undef, 1;
    });
    is $nginx->http('POST', '/register', json => form())->{status}, 201,
       'the next one';
};


subtest 'a worker that shall end leaves before the thread' => sub {
    $nginx->reload(main_config => OtpReg::default_main_config()
                                  . "worker_shutdown_timeout 1s;\n");
    stalled(sub {
        my $before = reads();
        my $sock = open_post();
        ok wait_until(sub { reads() > $before }, 20), 'a thread reads';
        ok $nginx->reload, 'reload';
        select undef, undef, undef, 2.5;
        is $nginx->http('GET', '/none')->{status}, 404, 'the new one works';
        is scalar($nginx->workers(old => 1)), 2, 'the old one waits';
    });
    ok wait_until(sub { $nginx->workers(old => 1) == 1 }, 30),
       'then it ends';
};

ok $nginx->quit(60), 'ends';
is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
