#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The runner itself, with nginx's own modules only: the small one of t/compat,
# or the original if that is installed.  What passes here under both means the
# same in both.  At the end, expectations that do not hold must be seen as such.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -nodb, -nosmtp, -nomodule;
use Test::Nginx::Socket 'no_plan';

our $Ours = $INC{'Test/Nginx/Socket.pm'} =~ m{t/compat/};
our %Seen;

$ENV{TEST_NGINX_WORD} = 'expanded';

no_long_string();
env_to_nginx('TEST_NGINX_WORD', 'WORDS=two');

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(http_config => 'map "" $preset { default preset; }')
        if !defined $block->http_config;
});

add_response_body_check(sub {
    my ($block, $body, $index) = @_;
    push @{ $Seen{$block->name =~ s/.*TEST (\d+).*/$1/sr} }, "$index:$body";
});

add_test_cleanup_handler(sub { $Seen{cleanups}++ });

run_tests();

is_deeply($Seen{3}, ['0:one', '1:two'], 'a body check for each request');
cmp_ok($Seen{cleanups}, '>', 20, 'cleanup handlers after each block');


# Run other files of blocks in a process of its own; returns the TAP.

sub run_file {
    my ($data, $code) = @_;

    my $file = test_dir() . '/child.t';
    spew($file, "use lib 't/lib';\n"
         . "use OtpReg -nodb, -nosmtp, -nomodule;\n"
         . "use Test::Nginx::Socket 'no_plan';\n"
         . "no_shuffle(); $code;\nrun_tests();\n__DATA__\n\n$data");

    local %ENV = %ENV;
    delete @ENV{grep { /^TEST_NGINX_(?:\w*PORT|SERV\w*)$/ } keys %ENV};
    $ENV{OTPREG_CLEAN} = 1;

    my $tap = `prove -v '$file' 2>'$file.err'`;
    return ($tap, $?);
}

sub blocks_that_hold {
    return <<'EOD';
=== patterns of all requests
--- config
location /no { deny all; }
--- request eval
["GET /no", "GET /"]
--- error_code eval
[403, 200]
--- error_log
access forbidden by rule
EOD
}

sub blocks_that_fail {
    my @check = (
        [status    => "--- error_code: 404"],
        [statuses  => "--- error_code_like: ^5"],
        [header    => "--- response_headers\nX-Test: no"],
        [absent    => "--- response_headers\n! X-Test"],
        [like      => "--- response_headers_like\nX-Test: ye"],
        [raw       => "--- raw_response_headers_like: X-Other"],
        [rawnot    => "--- raw_response_headers_unlike: X-Test: yes"],
        [body      => "--- response_body\nno"],
        [bodylike  => "--- response_body_like: ^no"],
        [bodynot   => "--- response_body_unlike: ok"],
        [filters   => "--- response_body_filters: uc\n--- response_body\nok"],
        [log       => "--- error_log: never logged"],
        [nolog     => "--- no_error_log eval: qr/GET .t HTTP/"],
        [grep      => "--- grep_error_log: GET\n--- grep_error_log_out\n"],
        [access    => "--- access_log: never logged"],
        [noaccess  => "--- no_access_log: GET"],
        [mustdie   => "--- must_die"],
        [flow      => "--- flow\nis 1, 2, \$block->name . ' - one is two'"],
        [flowdies  => "--- flow\ndie 'a problem'"],
        [mustcode  => "--- main_config: nonsense;\n--- must_die: 2"
                      . "\n--- suppress_stderr"],
        [mustlog   => "--- main_config: nonsense;\n--- must_die"
                      . "\n--- suppress_stderr\n--- error_log: never logged"],
        [second    => "--- request eval: ['GET /t', 'GET /no']\n"
                      . "--- error_code eval: [200, 200]"],
        [secondlog => "--- request eval: ['GET /t', 'GET /no']\n"
                      . "--- error_code eval: [200, 404]\n"
                      . "--- no_error_log eval: qr/GET .no HTTP/"],
        [pipelined => "--- pipelined_requests eval: ['GET /t', 'GET /no']\n"
                      . "--- error_code eval: [200, 200]"],
        [timeout   => "--- raw_request eval: qq{GET /t HTTP/1.1\\r\\n}\n"
                      . "--- timeout: 200ms"],
        # the small runner only
        [alert     => "--- flow\nlog_line('[alert] 1#1: a fake')"],
        [emerg     => "--- flow\nlog_line('[emerg] 1#1: a fake')"],
        [sanitizer => "--- flow\nlog_line('==1==ERROR: AddressSanitizer: x')"],
        [crash     => "--- flow\nkill 'SEGV', slurp(server_root()"
                      . " . '/logs/nginx.pid')"],
    );

    my $config = 'location = /t { add_header X-Test yes; return 200 "ok\n"; }';

    return map {
        my ($name, $text) = @$_;
        $text = "--- request\nGET /t\n$text"
            if $text !~ /^--- (?:request|pipelined)/;
        [$name, "=== $name\n--- config\n$config\n$text\n\n"];
    } @check;
}

my ($tap, $status) = run_file(blocks_that_hold(), 'check_accum_error_log()');
is($status, 0, 'patterns over all requests hold') or diag($tap);

($tap, $status) = run_file(blocks_that_hold(), '');
isnt($status, 0, 'but not for each request alone');

($tap, $status) = run_file(blocks_that_hold(),
                           'check_accum_error_log(); repeat_each(3)');
is(() = $tap =~ /^ok \d/mg, 12, 'repeat_each');

# what a file sets for all its blocks

($tap, $status) = run_file(<<'EOD', <<'EOC');
=== settings
--- config
location = /t { return 200 $server_name; }
--- pipelined_requests eval
["GET /t", "GET /preamble", "GET /"]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
["^all.test\$", "^p\$", "It works!"]
--- no_error_log
[debug]
--- flow
my $conf = slurp(server_root() . '/conf/nginx.conf');
like $conf, qr/^\s*worker_connections\s+32;/m, 'worker_connections';
like $conf, qr/^worker_processes\s+2;/m, 'workers';
like $conf, qr/^master_process\s+on;/m, 'master_on';
unlike $conf, qr/location \/ /, 'no_root_location';
is html_dir(), server_root() . '/html', 'html_dir';
is server_name(), 'all.test', 'server_name';
is timeout(), 2, 'timeout';

=== the configuration of the block before
--- request
GET /t
--- response_body chomp
all.test
EOD
no_root_location();
server_name('all.test');
config_preamble('location = /preamble { return 200 p; }');
worker_connections(32);
workers(2);
master_on();
log_level('info');
timeout(2);
EOC
is($status, 0, 'settings') or diag($tap);
is(() = $tap =~ /^ok \d/mg, 18, 'all of them');

# blocks that are chosen

for (['ONLY', 1, 'b'], ['LAST', 2, 'a b'], ['SKIP', 2, 'a c']) {
    my ($section, $count, $names) = @$_;

    ($tap, $status) = run_file(join('', map { "=== block $_\n--- config\n"
        . "--- request\nGET /\n" . ($_ eq 'b' ? "--- $section\n" : '') }
        qw(a b c)), '');
    is($status, 0, "$section passes") or diag($tap);
    is(join(' ', $tap =~ /^ok \d+ - .*block (\w)/mg), $names,
       "$section: those blocks");
}

# files that end at once

for ([environment => "--- config\nset \$a \$TEST_NGINX_NEVER_SET;\n"
                     . "--- request\nGET /\n"],
     ['no config' => "--- request\nGET /\n"],
     ['no such section' => "--- config\n--- tcp_listen: 1\n"
                           . "--- request\nGET /\n"],
     ['no start' => "--- config\nnonsense;\n--- request\nGET /\n"],
     ['a die in init' => "--- config\n--- init\ndie\n"
                         . "--- request\nGET /\n"])
{
    my ($name, $block) = @$_;

    SKIP: {
        skip("$name: the original has it, or tries for long", 1)
            if !$Ours && $name =~ /^no (?:such|start)/;
        ($tap) = run_file("=== $name\n$block", '');
        like($tap, qr/^Bail(?:out| out!)/m, "bail out: $name");
    }
}

# and those that fail

my @fail = blocks_that_fail();
($tap, $status) = run_file(join('', map { $_->[1] } @fail), <<'EOC');
sub log_line {
    open my $log, '>>', server_root() . '/logs/error.log';
    print $log "2026/01/01 00:00:00 $_[0]\n";
}
EOC
isnt($status, 0, 'a file with failing blocks fails');

for my $name (map { $_->[0] } @fail) {
    SKIP: {
        skip("$name: the original only warns", 1)
            if !$Ours && $name =~ /^(?:alert|emerg|sanitizer|crash)$/;
        ok($tap =~ /^not[ ]ok[ ].*[ ]\Q$name\E(?:[ ]-|$)/mx,
           "failure seen: $name");
    }
}

__DATA__

=== TEST 1: the default page, 200 unless told otherwise
--- config
--- request
GET /
--- response_body_like: It works!



=== TEST 2: environment in configuration and files, ports, user_files
--- http_config
map $uri $from_http { default $TEST_NGINX_WORD; }
--- config
location = /t { return 200 "$from_http $server_port $preset_dir\n"; }
set $preset_dir $TEST_NGINX_SERVER_ROOT;
location = /port { return 200 $TEST_NGINX_RAND_PORT_1-$TEST_NGINX_RAND_PORT_1; }
location = /ports { return 200 $TEST_NGINX_RAND_PORT_1-$TEST_NGINX_RAND_PORT_2; }
--- user_files
>>> a.txt 201412311159
first $TEST_NGINX_WORD
>>> sub/b.txt
second
--- request eval
["GET /t", "GET /a.txt", "GET /sub/b.txt", "GET /port", "GET /ports"]
--- response_body eval
["expanded \$ServerPort \$TEST_NGINX_SERVER_ROOT\n", "first expanded\n",
 "second\n", qr/^(\d+)-\1$/, qr/^(\d+)-(?!\1$)\d+$/]
--- response_headers eval
["!Last-Modified", "Last-Modified: Wed, 31 Dec 2014 11:59:00 GMT",
 "Content-Type: text/plain", "", ""]



=== TEST 3: many requests, many headers, many codes
--- config
location = /1 { return 200 one; }
location = /2 { return 201 two; }
add_header X-Got $http_x_put always;
--- request eval
["GET /1", "POST /2"]
--- more_headers eval
["X-Put: a", "X-Put: b"]
--- error_code eval
[200, 201]
--- response_headers eval
["X-Got: a", "X-Got: b"]
--- response_body eval
["one", "two"]



=== TEST 4: a body is trimmed and measured, no type is sent
--- config
location = /t { return 200 "$content_length $http_content_type|$host|$http_connection"; }
--- request
# a comment
POST /t
name=value&x=1

--- response_body chomp
14 |localhost|close



=== TEST 5: lengths and hosts of one's own
--- config
location = /t { return 200 "$content_length $host $request_method $server_protocol"; }
--- request eval
"PUT /t HTTP/1.0\r\n  ab "
--- more_headers
Content-Length: 5
# Not-Sent: 1
Host: example.com
--- response_body chomp
5 example.com PUT HTTP/1.0



=== TEST 6: pipelined requests
--- config
location = /1 { return 200 "1 $http_connection $connection_requests\n"; }
location = /2 { return 202 "2 $http_connection $connection_requests\n"; }
--- pipelined_requests eval
["GET /1", "GET /2"]
--- error_code eval
[200, 202]
--- response_body eval
["1 keep-alive 1\n", "2 close 2\n"]



=== TEST 7: a raw request in packets
--- config
location = /t { return 200 "$http_x_long\n"; }
--- raw_request eval
["GET /t HTTP/1.1\r\nHost: a\r\n", "X-Long: 1", "2\r\nConnection: close\r\n\r\n"]
--- raw_request_middle_delay: 0.01
--- response_body
12
--- raw_response_headers_like: ^HTTP/1\.1 200 OK\r\nServer: .*Connection: close\r\n
--- raw_response_headers_unlike: Transfer-Encoding



=== TEST 8: a request in packets, with delays
--- config
location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
location = /back { return 200 "$content_length $http_x"; }
--- request eval
[["PO", "ST /t\r\n", {value => "ab", delay_before => 0.05}, "cd"]]
--- more_headers
X: y
--- response_body chomp
4 y



=== TEST 9: a chunked body
--- config
location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
location = /back { return 200 "$content_length $request_method"; }
--- request eval
"POST /t\r\n3\r\nabc\r\n4\r\nd  \n\r\n0\r\n\r\n"
--- more_headers
Transfer-Encoding: chunked
--- response_body chomp
7 POST



=== TEST 10: chunked answers and HEAD
--- config
ssi on;
ssi_types text/plain;
--- user_files
>>> a.txt
<!--# echo var="request_method" --> <!--# echo var="preset" -->
--- request eval
["GET /a.txt", "HEAD /"]
--- response_headers eval
["Transfer-Encoding: chunked", "!X-None"]
--- response_body eval
["GET preset\n", ""]



=== TEST 11: not modified
--- config
location = /t { return 304; }
--- request
GET /t
--- error_code: 304
--- response_body



=== TEST 12: header patterns are anchored, repeated headers are joined
--- config
location = /t {
    add_header X-One 1;
    add_header X-One 2;
    return 200 "a\nb\n";
}
--- request
GET /t
--- response_headers_like
x-one: \d, \d
X-None:
--- response_body_like: ^a.b$
--- error_code_like: ^2



=== TEST 13: body filters
--- config
location = /t { return 200 "Abc"; }
--- request
GET /t
--- response_body_filters eval
['uc', sub { "<$_[0]>" }]
--- response_body chomp
<ABC>



=== TEST 14: body filters by name, and a pattern that must not match
--- config
location = /t { return 200 "Abc"; }
--- request
GET /t
--- response_body_filters: lc length
--- response_body_unlike: abc



=== TEST 15: error log patterns
--- config
location = /no { deny all; }
--- request
GET /no
--- error_code: 403
--- error_log eval
[qr/forbidden by \w+, client: 127/, "GET /no"]
--- no_error_log
[alert]
[crit]
--- grep_error_log eval
qr/access f\w+/
--- grep_error_log_out
access forbidden



=== TEST 16: the log of a block is its own
--- config
--- request
GET /
--- no_error_log
access forbidden by rule



=== TEST 17: log level, log file
--- config
location = /no { deny all; }
--- log_level: crit
--- request
GET /no
--- error_code: 403
--- no_error_log
forbidden



=== TEST 18: access log
--- config
--- request
GET /?17
--- access_log eval
[qr/"GET .\?17 HTTP.1\.1" 200/]
--- no_access_log
GET /?16



=== TEST 19: nginx must not start
--- config
no_such_directive on;
--- must_die
--- suppress_stderr
--- error_log
unknown directive "no_such_directive"
--- no_error_log
[alert]



=== TEST 20: nor with this, by status
--- main_config
no_such_main;
--- config
--- must_die: 1
--- suppress_stderr
--- error_log eval
[qr/\[emerg\] .*unknown directive "no_such_main" in .*nginx.conf:\d+/]



=== TEST 21: a client that leaves
--- config
--- raw_request eval: "GET / HTTP/1.1\r\nHost: x\r\n"
--- timeout: 150ms
--- abort
--- ignore_response
--- wait: 0.1
--- error_log
client prematurely closed connection



=== TEST 22: main_config, post_main_config, env
--- main_config
worker_rlimit_nofile 900;
--- post_main_config
worker_shutdown_timeout 1s;
--- config
--- request
GET /



=== TEST 23: init and post_setup_server_root
--- config
--- post_setup_server_root
open my $out, '>', "$ENV{TEST_NGINX_SERVER_ROOT}/html/early.txt" or die $!;
print $out "early";
--- init
open my $out, '>', "$ENV{TEST_NGINX_SERVER_ROOT}/html/late.txt" or die $!;
print $out "late";
--- request eval
["GET /early.txt", "GET /late.txt"]
--- response_body eval
["early", "late"]



=== TEST 24: skipped for all versions of nginx
--- skip_nginx: 3: > 0.5.0
--- config
this would not start;
--- request
GET /



=== TEST 25: not skipped
--- skip_nginx: 3: < 0.5.0: too old
--- config
--- request
GET /



=== TEST 26: a flow, without and with a request
--- config
location = /t { return 202 "$request_method $http_cookie $http_a $content_length $content_type"; }
location = /c { add_header Set-Cookie "a=b; Path=/"; add_header Set-Cookie "x=; Max-Age=0"; return 204; }
location = /no { deny all; }
--- flow
my $res = http('GET', '/c');
is $res->{status}, 204, 'status of the flow';
is scalar(@{ $res->{set_cookie} }), 2, 'two cookies';
is $res->{cookie}, 'a=b', 'one is kept';

$res = http('POST', '/t', form => { name => 'ä b&' }, cookie => $res->{cookie},
            headers => { A => 1 });
is $res->{body}, 'POST a=b 1 18 application/x-www-form-urlencoded', 'sent';

my @res = http_many([map { ['GET', '/no?' . $_] } 1 .. 5]);
is join(' ', map { $_->{status} } @res), '403 403 403 403 403', 'parallel';
like error_log_text(), qr/GET .no\?5/, 'the log at hand';
is http('GET', '/', raw => "GET / HTTP/1.0\r\n\r\n")->{status}, 200, 'raw';
ok !http('GET', '/', port => 1)->{status}, 'nobody there';
like $block->name, qr/TEST 26/, 'the block at hand';
--- error_log
access forbidden by rule
--- no_error_log
[alert]



=== TEST 27: a flow beside a request
--- config
location = /t { return 201; }
--- request
POST /t
--- error_code: 201
--- flow
is(http('GET', '/t')->{status}, 201, 'flow');



=== TEST 28: what is expected of each of many requests
--- config
location = /1 { add_header X-N 1; return 201 "one\n"; }
location = /2 { add_header X-N 2; return 302 /elsewhere; }
--- request eval
["GET /1", "GET /2"]
--- error_code_like eval
['^20', '^30']
--- response_headers_like eval
["X-N: [1]", "X-N: [2]\nLocation: .*/elsewhere"]
--- raw_response_headers_like eval
['^HTTP/1\.1 201 ', '^HTTP/1\.1 302 ']
--- raw_response_headers_unlike eval
['X-N: 2', 'X-N: 1']
--- response_body_like eval
['^one$', 'Found.*nginx']
--- response_body_filters eval
[[sub { $_[0] =~ s/x/y/gr }], [sub { $_[0] }]]
--- error_log eval
[qr{GET /\d HTTP}]
--- no_error_log eval
["[error]", qr/PUT/]



=== TEST 29: many bodies that must not match
--- config
location = /1 { return 200 one; }
location = /2 { return 200 two; }
--- request eval
["GET /1", "GET /2"]
--- response_body_unlike eval
["two", "one"]



=== TEST 30: server_name
--- server_name: a.example
--- config
location = /t { return 200 $server_name; }
--- request
GET /t
--- response_body chomp
a.example



=== TEST 31: another error log
--- config
location = /no { deny all; }
--- error_log_file: $TEST_NGINX_SERVER_ROOT/logs/other.log
--- request
GET /no
--- error_code: 403
--- no_error_log
forbidden
--- flow
like slurp(server_root() . '/logs/other.log'), qr/forbidden by rule/, 'there';
is error_log_text(), '', 'not here';



=== TEST 32: a client that closes its half
--- config
--- raw_request eval: "GET / HTTP/1.1\r\nHost: x\r\n"
--- shutdown
--- ignore_response
--- wait: 0.05
--- error_log
client prematurely closed connection



=== TEST 33: that half, by number
--- config
location = /t { return 200 $connection_requests; }
--- raw_request eval: "GET /t HTTP/1.1\r\nHost: x\r\n\r\n"
--- shutdown: 1
--- response_body chomp
1



=== TEST 34: addresses and time-outs
--- config
location = /t { return 200 $server_addr; }
--- server_addr_for_client: 127.0.0.1
--- timeout: 2s
--- request
GET /t
--- response_body chomp
127.0.0.1



=== TEST 35: skipped by Perl code
--- skip_eval: 2: $^O ne 'plan9'
--- config
this would not start;
--- request
GET /



=== TEST 36: not skipped by Perl code
--- skip_eval: 2: $^O eq 'plan9'
--- config
--- request
GET /



=== TEST 37: to do
--- todo: 2: some day
--- config
--- request
GET /never



=== TEST 38: left out
--- SKIP
--- config
this would not start;
--- request
GET /



=== TEST 39: no body
--- config
location = /t { return 204; }
--- request
DELETE /t
--- error_code: 204
--- response_body
--- response_headers
! Content-Type
! Content-Length
Connection: close



=== TEST 40: files by array, a directory for bodies
--- http_config
client_body_temp_path $TEST_NGINX_SERVER_ROOT/bodies_temp;
--- config
--- user_files eval
[["x/y.txt", "a \$TEST_NGINX_WORD", "202001020304.05"], ["z.txt", "z"]]
--- request eval
["GET /x/y.txt", "GET /z.txt"]
--- response_headers eval
["Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT", ""]
--- response_body eval
["a expanded", "z"]
--- flow
ok -d server_root() . '/bodies_temp', 'the directory for bodies';
like slurp(server_root() . '/conf/nginx.conf'),
     qr/^env TEST_NGINX_WORD;\nenv WORDS=two;$/m, 'env_to_nginx';



=== TEST 41: lines of the log, by string
--- config
location /no { deny all; }
--- request eval
["GET /no/1", "GET /no/2"]
--- error_code eval
[403, 403]
--- grep_error_log: forbidden by rule
--- grep_error_log_out
forbidden by rule
--- access_log
"GET /no/1 HTTP/1.1" 403
--- no_access_log eval
[qr/POST/]
