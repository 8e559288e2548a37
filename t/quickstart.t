#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The quick start of README.md, command by command as it stands there, into a
# prefix of its own: an nginx as Debian configures it, with TLS.  What needs the
# whole machine is stood in for: apt-get, make, systemctl, certbot and the hands
# of the person at the editor.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Env qw(root_dir module_path nginx_binary free_port start_process
                   stop_process at_end is_alive);
use File::Path qw(make_path);
use Test::More;

my $Debian = '/etc/nginx/nginx.conf';
plan skip_all => "no $Debian: not the nginx of a Debian package"
    if (slurp($Debian) // '') !~ /modules-enabled/;
plan skip_all => 'nginx without HTTP/2' if !OtpReg::Env::http2();

my $Name = 'accounts.example.org';
my $Dir = test_dir() . '/root';
my ($Plain, $Tls) = (free_port(), free_port());
my ($Pid, @Console);

my %Moved = map { $_ => "$Dir$_" }
    qw(/etc/nginx /etc/ssl /usr/lib/nginx/modules /usr/share/otpreg
       /var/log/nginx /var/www/html);


# ----- a machine

sub moved {
    my ($text) = @_;

    $text =~ s{(?<![\w.])(\Q$_\E)\b}{$Moved{$1}}g for keys %Moved;
    $text =~ s{/run/mysqld/mysqld\.sock}{$ENV{TEST_NGINX_DB_SOCKET}}g;
    return $text;
}

# a file of the machine's after a command has written it

sub move_file {
    my ($path, $more) = @_;
    my $text = moved(slurp($path) // die "no $path\n");
    $more->($text) if $more;
    spew($path, $text);
}

make_path(map { "$Dir$_" } '/etc/nginx', '/var/log/nginx', '/bin',
          '/etc/ssl/certs', '/etc/ssl/private', '/var/www/html',
          map { "/etc/nginx/$_" } qw(modules-enabled sites-enabled conf.d
                                     sites-available snippets));

my $Main = slurp($Debian);
my $User = $> == 0 ? 'user root;' : '';
$Main =~ s/^user .*;$/$User/m;
$Main =~ s{^pid .*;$}{pid $Dir/nginx.pid;}m;
$Main =~ s{/etc/nginx/mime\.types}{mime.types};
spew("$Dir/etc/nginx/nginx.conf", moved($Main));
spew("$Dir/etc/nginx/mime.types", slurp('/etc/nginx/mime.types'));

sub stub {
    my ($name, $text) = @_;
    spew("$Dir/bin/$name", "#!/bin/sh\n$text\n", 0755);
}

my $Self_signed = 'openssl req -x509 -newkey ec -pkeyopt'
    . ' ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name'
    . ' -keyout $key -out $pem 2> /dev/null';

stub('apt-get', 'exit 0');
stub('make', 'exit 0');
stub('editor', 'exit 0');
stub('systemctl', 'exit 0');
stub('certbot', 'exit 0');
# a command of nginx ends without freeing what it has read
stub('nginx', "case \"\$1\" in -t) ASAN_OPTIONS=detect_leaks=0 ;; esac\n"
              . 'export ASAN_OPTIONS' . "\n"
              . "exec '@{[ nginx_binary() ]}' -e $Dir/var/log/nginx/error.log"
              . " -p $Dir/ -c $Dir/etc/nginx/nginx.conf \"\$@\"");

my ($Client) = grep { -x } map { "$_/mariadb" } split /:/, $ENV{PATH};
stub('mariadb', "exec $Client --no-defaults -uroot"
                . " -S '$ENV{TEST_NGINX_DB_SOCKET}' \"\$@\"");

sub certificate {
    my ($pem, $key) = @_;
    system('sh', '-c', "name=$Name; pem=$pem; key=$key; $Self_signed") == 0
        or die "no certificate\n";
}


# ----- README

my ($Section) = slurp(root_dir() . '/README.md')
                =~ /^## Quick start\n(.*?)^## /ms or die "no quick start\n";
my %Step = $Section =~ /^(\d+)\. (.*?)(?=^\d+\. |^\S|\z)/msg;

is_deeply [sort { $a <=> $b } keys %Step], [1 .. 10], 'ten steps';

# the commands of a step; what is typed at the terminal comes from $input

sub follow {
    my ($step, $input) = @_;
    state $before = '';

    my ($indent) = $Step{$step} =~ /^( {7,8})(?=\S)/m;
    my $commands = join '', map { s/^$indent//r }
                   $Step{$step} =~ /^($indent.*\n|\n(?=$indent))/mg;
    ok $commands, "step $step: commands";

    # what the shell of the person knows by now
    $before .= "name=$Name\n" if $commands =~ s/^name=\S+.*\n//m;

    my $module = module_path();
    $commands =~ s{build/ngx_http_otpreg_module\.so}{$module} if $module;
    $commands =~ s{^install .*\n}{}m if !$module;

    spew("$Dir/step", "set -e\n" . $before . moved($commands));
    spew("$Dir/input", $input // '');
    my $out = qx{cd '@{[ root_dir() ]}' && PATH='$Dir/bin':\$PATH \\
                 bash '$Dir/step' < '$Dir/input' 2>&1};
    is $?, 0, "step $step: they work" or diag $out;

    return $out;
}

sub run_nginx {
    stop_process($Pid, 'QUIT') if $Pid;
    $Pid = start_process({ log => "$Dir/out", signal => 'TERM' },
                         "$Dir/bin/nginx", '-g', 'daemon off;');
    my $up = wait_until(sub { !is_alive($Pid)
                              || system("bash", "-c",
                                        "(: < /dev/tcp/127.0.0.1/$Tls)"
                                        . " 2> /dev/null") == 0 }, 15);
    ok $up && is_alive($Pid), 'nginx starts' or diag slurp("$Dir/out");
}

at_end(sub { stop_process($Pid, 'TERM') if $Pid });


# ----- step by step

# the database of the tests has what the steps make
sql('DROP DATABASE otpreg', 'mysql');
sql("DROP USER IF EXISTS otpreg\@localhost", 'mysql');

follow(1);
move_file("$Dir/etc/nginx/modules-enabled/50-mod-http-otpreg.conf", sub {
    my $load = module_path() ? 'load_module ' . module_path() . ';' : '';
    $_[0] =~ s/^load_module .*;$/$load/m or die "no load_module\n";
});
ok module_path() eq ''
   || -f "$Dir/usr/lib/nginx/modules/ngx_http_otpreg_module.so",
   'the module is where nginx looks for it, and nothing else was needed';

follow(2);
follow(3);
follow(4);
follow(5, "the password of the mail account\n");
is sprintf('%o', (stat "$Dir/etc/nginx/otpreg/$_")[2] & 07777), '600',
   "$_ is for root alone"
    for qw(db-password keys smtp-password);
follow(6);
follow(7);

certificate("$Dir/etc/ssl/certs/ssl-cert-snakeoil.pem",
            "$Dir/etc/ssl/private/ssl-cert-snakeoil.key");
move_file("$Dir/etc/nginx/sites-available/otpreg", sub {
    $_[0] =~ s/listen \[::\]:.*\n//g;
    $_[0] =~ s/listen 80;/listen 127.0.0.1:$Plain;/ or die "no port 80\n";
    $_[0] =~ s/listen 443 /listen 127.0.0.1:$Tls / or die "no port 443\n";
});

# what the text says of the mail server
move_file("$Dir/etc/nginx/snippets/otpreg.conf");
my $Snippet = slurp("$Dir/etc/nginx/snippets/otpreg.conf");
follow(8);
spew("$Dir/etc/nginx/snippets/otpreg.conf",
     $Snippet =~ s/otpreg_smtp [^;]*;/otpreg_console;/r);
follow(8);
run_nginx();


# ----- what a person sees then

sub fetch {
    my ($path, @more) = @_;

    my $res = qx{curl -sk -i -b '$Dir/jar' -c '$Dir/jar' \\
                 --resolve $Name:$Tls:127.0.0.1 @more \\
                 'https://$Name:$Tls$path'};
    my ($head, $body) = split /\r?\n\r?\n/, $res, 2;
    my ($status) = ($head // '') =~ m{^HTTP/\S+ (\d+)};
    return ($status // 0, lc($head // ''), $body // '');
}

like qx{curl -si -H 'Host: $Name' http://127.0.0.1:$Plain/register},
     qr{^HTTP/1.1 301 .*^Location: https://\Q$Name\E/register\r$}ms,
     'port 80 leads to TLS';

my ($status, $head, $body) = fetch('/register');
is $status, 200, 'the form';
like $body, qr/Create your account/, 'in English';
unlike $head, qr/^content-encoding:/m, 'not compressed';
like((fetch('/register', "-H 'Accept-Language: $_'"))[2],
     qr/<html lang="$_/, "and in $_")
    for qw(de es fr zh ar);

for my $file (qw(otpreg.css otpreg.js)) {
    ($status, $head, $body) = fetch("/pages/$file",
                                    "-H 'Accept-Encoding: gzip' -o /dev/null"
                                    . ' -D -');
    is $status, 200, $file;
    like $head, qr/^cache-control: max-age=\d+/m, "$file: is kept";
    like $head, qr/^content-encoding: gzip/m, "$file: is compressed";
}

my ($token) = (fetch('/register'))[2] =~ /name="form_token" value="([^"]*)"/;
my $Password = 'seven grey herons at noon';
($status, $head, $body) = fetch('/register', map { "--data-urlencode '$_'" }
    'username=quick', 'email=quick@example.com', "password=$Password",
    "confirm_password=$Password", defined $token ? "form_token=$token" : ());
is $status, 303, 'a sign-up' or diag $body;

my $code;
ok wait_until(sub { ($code) = (slurp("$Dir/var/log/nginx/otpreg.log") // '')
                              =~ /otpreg console: (\d{6})$/m }, 15),
   'the code is in the log that the text names'
    or diag slurp("$Dir/var/log/nginx/otpreg.log");

($status, $head) = fetch('/verify-otp', "-d otp=$code");
is $status, 303, 'the code';
my ($next) = $head =~ /^location: (\S+)/m;
is $next, '/pages/login.html', 'leads to the page for the log-in';
($status, $head, $body) = fetch($next);
is $status, 200, 'which is there';
like $body, qr/your account is ready/, 'and says that it is done';
like follow(9), qr/^quick\s+quick\@example\.com\s+1$/m, 'the user is active';


# ----- a certificate of one's own

certificate("$Dir/etc/ssl/own.pem", "$Dir/etc/ssl/own.key");
my $Site = slurp("$Dir/etc/nginx/sites-available/otpreg");
$Site =~ s{ssl_certificate \S+;}{ssl_certificate $Dir/etc/ssl/own.pem;};
$Site =~ s{ssl_certificate_key \S+;}{ssl_certificate_key $Dir/etc/ssl/own.key;};
spew("$Dir/etc/nginx/sites-available/otpreg", $Site);
follow(10);
run_nginx();
is +(fetch('/register'))[0], 200, 'and it goes on';

make_path("$Dir/var/www/html/.well-known/acme-challenge");
spew("$Dir/var/www/html/.well-known/acme-challenge/token", 'yours');
is qx{curl -s -H 'Host: $Name' http://127.0.0.1:$Plain/.well-known/acme-challenge/token},
   'yours', 'who gives certificates finds the proof on port 80';

is stop_process($Pid, 'QUIT'), 0, 'nginx left by itself';
undef $Pid;

unlike slurp("$Dir/var/log/nginx/$_") // '', qr/leads nowhere/,
    "$_: no alarm about locations" for 'error.log', 'otpreg.log';

done_testing();
