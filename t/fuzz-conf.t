# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# nginx -t of configurations with any values: it says yes, or no with the file
# and the line, and never crashes or shows a password.  What is mutated are the
# examples of README.md and docs; the directives are those of the module's source.
#
#     OTPREG_FUZZ_CONFIGS=3000 OTPREG_FUZZ_SEED=7 prove t/fuzz-conf.t

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nodb, -nosmtp;
use OtpReg::Env qw(root_dir start_process nginx_binary);
use OtpReg::Fuzz;
use File::Path qw(make_path);
use Test::More;

my $trials = $ENV{OTPREG_FUZZ_CONFIGS} || 100;
my $seed = $ENV{OTPREG_FUZZ_SEED} // 1;
my $prefix = test_dir() . '/conf-fuzz';
my $secret = 'PwGeheim';

make_path("$prefix/conf", "$prefix/logs");
spew("$prefix/password", "$secret\n", 0600);
key_file("$prefix/keys", 'k1');
local $ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0';

# every directive, and the arguments that examples give them

my $source = slurp(root_dir() . '/src/conf/ngx_http_otpreg_directives.c');
my @directives = $source =~ /\{ ngx_string\("(otpreg_\w+)"\),\n/g;
my $readme = join "\n", map { slurp($_) }
             glob root_dir() . '/{README,docs/*}.md';
my (%example, %word);

while ($readme =~ /^\s*(?:location .*\{ )?(otpreg_\w+)\s+([^;`\n]+(?:\n\s+[^;`]+)?);/mg)
{
    my ($name, @args) = ($1, $2 =~ /("[^"]*"|[^\s"]+)/g);
    push @{ $example{$name} }, \@args;
    $word{$_} = 1 for @args;
}

my @words = sort keys %word, 'off', 'on', '1d', '5/h', '10/d', '1000/1d', '+44',
            'memory=64m', 'operations=9', 'user=u', 'name=n',
            "password_file=$prefix/password", "password_file=$prefix/any";
my @odd = ('', '0', '-1', '99999999999999999999', '4294967296', '2147483648',
           '18446744073709551615', '1e9', '0x10', '1w', '1y', '1M', '3s', '1ms',
           '//h', '5/', '/h', '5/0s', '5/9999d', '=', 'a=', '=b', '+', '+0',
           '+' . '1' x 40, 'x' x 300, 'y' x 3000, "\xff\xfe", "\xc3\xbc", '%',
           '$', '$x', '${', '${otpreg_code}', '$otpreg_code', '@x', '/', '//',
           '/x?y', 'smtp://', 'smtps://h:0', 'smtp://[', 'smtp://[::1]:25',
           'smtp://h:99999', 'smtp://u:p@h', 'smtp://unix:/x', 'from=<a@b',
           'from=a@b>', 'from=@', 'from=<>', 'from="', 'timeout=90001', 'helo=',
           'ssl=required', 'host=', 'port=0', 'port=65536', 'zone=x:1', 'x:10m',
           "\x01", '\\', '\\"', 'en', 'x-' x 30, "$prefix/any", "$prefix/keys",
           "$prefix/none", $prefix, '/dev/null', '.');

sub quoted {
    my ($arg) = @_;
    return $arg if $arg =~ /^"[^"]*"$/;
    $arg =~ s/(["\\])/\\$1/g;
    return qq{"$arg"};
}

sub mutated {
    my ($arg) = @_;
    return pick(@words) if !rnd(4);
    return pick(@odd) if !rnd(3);
    return $arg =~ s/=.*/'=' . pick(@odd)/er if $arg =~ /=/ && rnd(2);
    substr $arg, rnd(1 + length $arg), rnd(3), pick(@odd, chr(32 + rnd(95)));
    return $arg;
}

sub directive {
    return pick(['otpreg_language', "otpreg_language x $prefix/any;\n"],
                ['otpreg_key_file', "otpreg_key_file $prefix/any;\n"],
                ['otpreg_database', "otpreg_database user=u name=n "
                                    . "password_file=$prefix/any;\n"],
                ['otpreg_password_blocklist',
                 "otpreg_password_blocklist $prefix/any;\n"])->@* if !rnd(6);

    my $name = pick(@directives);
    my @args = @{ pick(@{ $example{$name} || [[pick(@words)]] }) };
    $args[rnd(scalar @args)] = mutated(pick(@args)) if rnd(4);
    push @args, map { rnd(2) ? pick(@words) : pick(@odd) } 1 .. rnd(3)
        if !rnd(12);
    push @args, ($args[-1]) x rnd(40) if !rnd(30);
    push @args, ("password=$secret") x (1 + rnd(2))
        if $name =~ /database|smtp/ && rnd(2);
    return ($name, join(' ', $name, map { quoted($_) } @args) . ";\n");
}

# a file as such files are, or nearly: keys, sentences, passwords

sub any_file {
    my @lines = map { pick('k' . rnd(20) . ' ' . 'A' x 43 . '=', 'k1', '# x', '',
        'code_wrong Falsch.', 'code_wrong', 'nothing Nichts', 'busy {n} {n} {',
        $secret, pick(@odd), slurp("$prefix/keys") =~ s/\n//r,
        join '', map { chr rnd(256) } 0 .. rnd(60)) } 0 .. rnd(20);
    spew("$prefix/any", join(pick("\n", "\r\n", "\r"), @lines),
         pick((0600) x 9, 0640, 0644));
}

sub configuration {
    my (%at, %used);

    for (0 .. rnd(2)) {
        my ($name, $line) = directive();
        my $where = $name =~ /^otpreg_(?:register|verify|resend|smtp|console
                               |status)$/x ? 'location'
                    : $name =~ /thread_pools|zone/ ? 'http'
                    : pick(qw(http http server location handler));
        $at{$where} .= $line;
        $used{$name} = 1 if $where eq 'http';
    }

    my %base = (
        otpreg_database => "otpreg_database user=u name=n password=$secret;\n",
        otpreg_key_file => "otpreg_key_file $prefix/keys;\n",
        otpreg_mail => "otpreg_mail /m;\n", otpreg_sms => "otpreg_sms /m;\n");
    my $base = join '', map { $base{$_} } grep { !$used{$_} } sort keys %base;
    $_ //= '' for @at{qw(http server location handler)};
    my $load = join '', map { "load_module $_;\n" }
               split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';

    return <<"END";
$load@{[ default_main_config() ]}pid logs/nginx.pid;
events { }
http {
$at{http}$base
server { listen 127.0.0.1:1;
$at{server}location / { $at{location}}
location /r { otpreg_register /p; $at{handler}}
location /m { return 204; }
} }
END
}

sub test_config {
    my $out = "$prefix/logs/out";
    unlink $out;
    my $pid = start_process({ log => $out }, nginx_binary(), '-t', '-e',
                            "$prefix/logs/error.log", '-p', "$prefix/", '-c',
                            "$prefix/conf/nginx.conf");
    waitpid $pid, 0;
    return ($?, slurp($out) // '');
}

my (%count, %emerg, @found);

for my $trial (1 .. $trials) {
    srand($seed * 1e8 + $trial);
    any_file();
    my $conf = configuration();
    spew("$prefix/conf/nginx.conf", $conf);
    my ($status, $out) = test_config();

    my $emerg = $out =~ /\[emerg\] (?:\d+#\d+: )?(.*)/ ? $1 : '';
    $count{ $status == 0 ? 'accepted' : 'refused' }++;
    $emerg{ $emerg =~ s/"(?!otpreg_)[^"]*"?|\d+//gr }++;

    my $what = $status != 0 && $status != 256 ? "status $status"
               : $out =~ /Sanitizer|runtime error/ ? 'a report'
               : $out =~ /\Q$secret/ ? 'a password is shown'
               : $status != 0 && $emerg !~ /nginx\.conf:\d+|in line \d+ of/
                 && $emerg !~ /\Q$prefix\E|^unknown "\w*" variable/
                 ? 'no line is told' : next;
    push @found, "trial $trial of seed $seed: $what\n" . show($out)
                 . "\n$conf";
    last if @found > 5;
}

is_deeply \@found, [], "$trials configurations" or diag(@found);
diag("seed $seed: $count{accepted} accepted, $count{refused} refused, "
     . (keys %emerg) . ' kinds of messages');
note("$emerg{$_} times: $_") for sort { $emerg{$b} <=> $emerg{$a} } keys %emerg;
cmp_ok $count{$_} // 0, '>', $trials / 20, "many were $_"
    for qw(accepted refused);
cmp_ok scalar(keys %emerg), '>', 8, 'for many reasons';

done_testing();
