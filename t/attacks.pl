#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Takes the defence against each attack out, and looks whether a test that is
# named "attack N: ..." fails then.
#
#     t/attacks.pl            all of them: an hour on a busy machine
#     t/attacks.pl 7 12       only these
#     t/attacks.pl -c         only whether every line is still there, once
#
# It works on a copy in build/attacks, which is built as the installed nginx
# needs it, and prints a table.  The status is 0 when each was seen to fail.

use v5.10.1;
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);

my $Root = abs_path($0) =~ s{/t/[^/]+\z}{}r;
my $Copy = "$Root/build/attacks";
my $Module = 'build/ngx_http_otpreg_module.so';
my $Seconds = 600;                      # of one test file

# attack => [the test, what is taken out, [file, text, what comes for it] ...]
# The text must be there exactly once.

my %Attack = (
     1 => ['verify', 'o.attempts < max',
           ['src/store/otpreg_sql.h',
            'o.expires_at > NOW(6) AND o.attempts < ?"  ',
            'o.expires_at > NOW(6) AND ? IS NOT NULL"  ']],
     2 => ['verify', 'attempts + 1 in the same statement',
           ['src/store/otpreg_sql.h', 'LAST_INSERT_ID(o.attempts + 1)',
            'LAST_INSERT_ID(o.attempts)']],
     3 => ['verify', 'o.consumed_at IS NULL, u.verified_at IS NULL',
           ['src/store/otpreg_sql.h',
            'o.purpose = ? AND o.consumed_at IS NULL"', 'o.purpose = ?"'],
           ['src/store/otpreg_sql.h', '"   AND u.verified_at IS NULL")',
            '"")']],
     4 => ['attacks', "the address's budget for a resend",
           ['src/store/otpreg_store_resend.c',
            'otpreg_store_admit(db, &in->budgets,',
            'otpreg_store_admit(db, &(otpreg_store_budgets_t) { 0 },']],
     5 => ['address-limits', 'OTPREG_SQL_BUDGET_USE',
           ['src/store/otpreg_store_budget.c',
            'otpreg_db_exec(db, OTPREG_SQL_BUDGET_USE, params, NULL, NULL)',
            'OTPREG_DB_OK']],
     6 => ['client-limits', 'NGX_HTTP_OTPREG_LIMIT_WRONG',
           ['src/flow/ngx_http_otpreg_verify.c',
            'ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_WRONG, &a->taken)',
            'OTPREG_OK']],
     7 => ['attacks', 'o.expires_at > NOW(6)',
           ['src/store/otpreg_sql.h',
            '"   AND o.expires_at > NOW(6) AND o.attempts < ?"  ',
            '"   AND o.attempts < ?"  ']],
     8 => ['attacks', 'o.consumed_at IS NULL, u.verified_at IS NULL',
           ['src/store/otpreg_sql.h',
            'o.purpose = ? AND o.consumed_at IS NULL"', 'o.purpose = ?"'],
           ['src/store/otpreg_sql.h', '"   AND u.verified_at IS NULL")',
            '"")']],
     9 => ['attacks', 'the id and the channel in the HMAC',
           ['src/core/otpreg_otp.c', 'memcpy(p, otp->id, OTPREG_ID_LEN);',
            ''],
           ['src/core/otpreg_otp.c', '(uint8_t) otp->channel;', '0;']],
    10 => ['attacks', 'one user for each sign-up: u.id = o.user_id',
           ['src/store/otpreg_sql.h',
            '"UPDATE otps o LEFT JOIN users u ON u.id = o.user_id AND',
            '"UPDATE otps o LEFT JOIN users u ON u.email_key = o.address_key'
            . ' AND']],
    11 => ['attacks', 'one user for each sign-up: u.id = o.user_id',
           ['src/store/otpreg_sql.h',
            '"UPDATE otps o LEFT JOIN users u ON u.id = o.user_id AND',
            '"UPDATE otps o LEFT JOIN users u ON u.email_key = o.address_key'
            . ' AND']],
    12 => ['attacks', 'the id in the HMAC',
           ['src/core/otpreg_otp.c', 'memcpy(p, otp->id, OTPREG_ID_LEN);',
            '']],
    13 => ['attacks-web', 'ngx_http_otpreg_clear_cookie()',
           ['src/flow/ngx_http_otpreg_reply.c',
            'ended ? ngx_http_otpreg_clear_cookie(r, ctx)',
            'ended ? NGX_OK']],
    14 => ['account-secrecy', 'the decoy: "taken" is answered instead',
           ['src/store/otpreg_store_signup.c', 'issue.decoy = otpreg_store_purpose_is_decoy(in->otp.purpose, owned);',
            'if (owned) { work->outcome = OTPREG_ADDRESS_PROVED;'
            . ' return OTPREG_DB_OK; }']],
    15 => ['enumeration', 'otpreg_response_time',
           ['src/flow/ngx_http_otpreg_response_time.c',
            'time = (int64_t) ctx->conf->response_time *',
            'time = (int64_t) (ctx->conf->response_time != 0) *']],
    16 => ['address-limits', 'the limit for an owned address',
           ['src/store/otpreg_store_signup.c',
            'otpreg_store_admit(db, &in->budgets,',
            'otpreg_store_admit(db, owned ? &(otpreg_store_budgets_t) { 0 }'
            . ' : &in->budgets,']],
    17 => ['attacks-input', 'lower case in the key of an address',
           ['src/core/otpreg_email.c',
            'out->key[i] = otpreg_str_lower((uint8_t) out->address[i]);',
            'out->key[i] = out->address[i];']],
    18 => ['attacks-input', 'the characters of a local part',
           ['src/core/otpreg_email.c',
            '!otpreg_str_alnum_or(ch, "!#$%&\'*+-/=?^_`{|}~.")', 'ch == 0']],
    19 => ['attacks-input', 'encoding="entity" of a field',
           ['conf-examples/pages/register.html',
            'value="<!--# echo var="otpreg_username" encoding="entity"',
            'value="<!--# echo var="otpreg_username" encoding="none"']],
    20 => ['attacks-web', 'Location as it is configured (nginx adds the Host)',
           ['src/flow/ngx_http_otpreg_reply.c',
            'if (ngx_http_otpreg_add_header(r, "Location", &location)'
            . ' != NGX_OK) {',
            'ngx_http_clear_location(r);'
            . ' r->headers_out.location ='
            . ' ngx_list_push(&r->headers_out.headers);'
            . ' if (r->headers_out.location == NULL) { return NGX_ERROR; }'
            . ' ngx_memzero(r->headers_out.location,'
            . ' sizeof(ngx_table_elt_t));'
            . ' r->headers_out.location->hash = 1;'
            . ' ngx_str_set(&r->headers_out.location->key, "Location");'
            . ' r->headers_out.location->value = location; if (0) {']],
    21 => ['attacks-web', 'ngx_http_otpreg_is_cross_site()',
           ['src/flow/ngx_http_otpreg_request.c',
            'if (ngx_http_otpreg_is_cross_site(r)) {', 'if (0) {']],
    22 => ['address-limits', 'used >= count',
           ['src/store/otpreg_store_budget.c',
            'used->all >= count', 'used->all < 0']],
    23 => ['sms-limits', 'the limit of a prefix',
           ['src/store/otpreg_store_sms.c',
            "if (limits->n == 0) {\n        return OTPREG_DB_OK;\n    }\n\n"
            . '    rc = otpreg_store_sms_lock(db, sms->site, sms->prefix);',
            "return OTPREG_DB_OK;\n"
            . '    rc = otpreg_store_sms_lock(db, sms->site, sms->prefix);']],
    24 => ['client-limits', 'the counters of the cycle before',
           ['src/guard/ngx_http_otpreg_limit_zone.c',
            'if (data != NULL || shm_zone->shm.exists) {', 'if (0) {']],
    25 => ['client-limits', 'a full zone makes room',
           ['src/guard/ngx_http_otpreg_limit_zone.c',
            'if (entry == NULL && ngx_http_otpreg_limit_zone_evict(zone)) {',
            'if (0) {']],
    26 => ['overload', 'Retry-After for OTPREG_BUSY',
           ['src/flow/ngx_http_otpreg_outcome.c',
            '[OTPREG_BUSY] = NGX_HTTP_OTPREG_RETRY_SOON,', '']],
    27 => ['clients', '415 for Content-Encoding',
           ['src/flow/ngx_http_otpreg_body.c',
            'h = ngx_http_otpreg_find_header(r, "content-encoding");',
            'h = NULL;']],
    28 => ['attacks-input', 'UTF8PROC_COMPOSE',
           ['src/core/otpreg_unicode.c',
            'options |= UTF8PROC_STABLE | UTF8PROC_COMPOSE;',
            'options |= UTF8PROC_STABLE;']],
    29 => ['register', 'otpreg_blocklist_has()',
           ['src/core/otpreg_password.c',
            'otpreg_blocklist_has(policy->blocklist, folded.str)', 'false']],
    30 => ['secrets', 'the wiping of the form',
           ['src/flow/ngx_http_otpreg_request.c',
            'sodium_memzero(ctx->body.form.data, ctx->body.form.len);', '']],
    31 => ['reload', 'older keys open',
           ['src/core/otpreg_keys.c',
            'return &keys->key[i];',
            'return i == 0 ? &keys->key[0] : NULL;']],
    32 => ['faults', 'the look after a lost connection',
           ['src/store/otpreg_store_signup.c', "    if (lost) {\n",
            "    if (0) {\n"]],
    33 => ['outbox', 'leases of dead workers are taken over',
           ['src/store/otpreg_store_outbox.c',
            'if (!work->dead(strtol(leases[i] + strlen(work->node) + 1, NULL,'
            . ' 10)))', 'if (1)']],
    34 => ['couriers', 'status < 300 is sent, no other',
           ['src/outbox/ngx_http_otpreg_verdict.c',
            'status >= 200 && status < 300',
            'status >= 200 && status < 400']],
    35 => ['attacks', 'UNIQUE KEY users_email_owner',
           ['sql/schema.sql',
            "    UNIQUE KEY users_email_owner (email_owner),\n",
            "    KEY users_email_owner (email_owner),\n"]],
    36 => ['change', 'issue.attempts = flow->attempts',
           ['src/store/otpreg_store_resend.c',
            'issue.attempts = flow->attempts;', '']],
    37 => ['attacks', 'OTPREG_SQL_PURGE_USER',
           ['src/store/otpreg_store_purge.c',
            "    { otpreg_store_purge_users, OTPREG_SQL_PURGE_USER },\n", '']],
    38 => ['bots', 'the look at the honeypot',
           ['src/guard/ngx_http_otpreg_robot.c',
            'fields[NGX_HTTP_OTPREG_ROBOT_HONEYPOT].value.len != 0', '0']],
    39 => ['stall', 'a recipient of its own, and bound to the code',
           ['src/outbox/ngx_http_otpreg_smtp.c', 'mail->to = delivery->to;',
            'static char  last[256];  strcpy(last, delivery->to);'
            . ' mail->to = last;'],
           ['src/outbox/ngx_http_otpreg_smtp.c',
            'if (!ngx_http_otpreg_deliver_is_bound(',
            'if (0 && !ngx_http_otpreg_deliver_is_bound(']],
    40 => ['attacks-embedded', '403 in a subrequest',
           ['src/flow/ngx_http_otpreg_request.c', 'if (r != r->main) {',
            'if (0) {']],
    41 => ['client-limits', 'the counters of networks',
           ['src/guard/ngx_http_otpreg_limit.c',
            'if (client.family == NGX_HTTP_OTPREG_LIMIT_INET6) {',
            'if (0) {']],
    42 => ['client-limits', 'what is refused is not counted, and dead codes'
                            . ' not for all clients',
           ['src/flow/ngx_http_otpreg_register.c',
            "if (ctx->outcome == OTPREG_OK) {\n"
            . '        ctx->outcome = ngx_http_otpreg_limit(r,',
            "if (1) {\n        ctx->outcome = ngx_http_otpreg_limit(r,"],
           ['src/flow/ngx_http_otpreg_verify.c',
            'ngx_http_otpreg_limit_give_back_global(&a->taken);', ''],
           ['src/flow/ngx_http_otpreg_register.c',
            'ngx_http_otpreg_limit_give_back_global(&s->taken);', '']],
    43 => ['address-limits', 'the share of a client',
           ['src/store/otpreg_store_budget.c',
            "    if (share == 0) {\n        return false;",
            "    if (share != 101) {\n        return false;"]],
    44 => ['account-secrecy', 'the hint only of the first message of a day',
           ['src/store/otpreg_sql.h', ' LIMIT 1 OFFSET 1) IS NULL"',
            ' LIMIT 0) IS NULL"']],
    45 => ['mail-limits', 'a sub-address counts for its mailbox',
           ['src/store/otpreg_store_budget.c',
            'otpreg_email_mailbox(address_key, mailbox);',
            'strcpy(mailbox, address_key);']],
);


sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>:raw', $path or die "$path: $!\n";
    print $file $text or die "$path: $!\n";
    close $file or die "$path: $!\n";
}

# the files of an attack as they are without its defence, path => text

sub without {
    my ($n) = @_;
    my (undef, undef, @edits) = @{ $Attack{$n} };
    my %text;

    for my $edit (@edits) {
        my ($path, $from, $to) = @$edit;
        $text{$path} //= slurp("$Root/$path");
        my $count = $text{$path} =~ s/\Q$from\E/$to/g;
        die "attack $n: $path has this ", $count || 0, " times: $from\n"
            if $count != 1;
    }

    return %text;
}

# Only what differs is written, so that make builds only what it must.

sub copy_tree {
    my @paths = split /\0/, `cd '$Root' && find -L src t config sql \\
                              conf-examples Makefile README.md docs -type f -print0`;
    my %wanted = map { $_ => 1 } @paths;

    for my $path (@paths) {
        make_path("$Copy/" . dirname($path));
        next if -f "$Copy/$path"
                && slurp("$Copy/$path") eq slurp("$Root/$path");
        spew("$Copy/$path", slurp("$Root/$path"));
        chmod +(stat "$Root/$path")[2] & 07777, "$Copy/$path";
    }

    for my $path (split /\0/, `cd '$Copy' && find src t config sql \\
                               conf-examples -type f -print0`)
    {
        unlink "$Copy/$path" if !$wanted{$path};
    }
}

sub build {
    my ($log) = @_;
    system("cd '$Copy' && make CC_OPT='-O0 -U_FORTIFY_SOURCE -Wno-error'"
           . " $Module >'$log' 2>&1") == 0
        or die "does not build:\n", (slurp($log) =~ /((?:.*\n){0,20})\z/)[0];
}

# the names of the tests that fail, of which some are in a block's name only

sub run_test {
    my ($test, $log) = @_;

    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
    local $ENV{PERL5LIB} = join ':', grep { defined } 't/lib', 't/compat',
                                     $ENV{PERL5LIB};
    delete local @ENV{grep { /^(?:TEST_NGINX|OTPREG)_/ } keys %ENV};

    system("cd '$Copy' && timeout $Seconds prove -v t/$test.t >'$log' 2>&1");
    my $out = slurp($log);

    # subtests are indented, and the block is in "at flow of ..."

    return $out =~ /^\s*not\ ok\ \d+\ -\ (.*)
                   |^\s*\#\s+(?:Failed\ test|at\ flow\ of)\ (.*)/gmx;
}

sub try_attack {
    my ($n) = @_;
    my ($test, $removed) = @{ $Attack{$n} };
    my %text = without($n);
    my $log = "$Copy/attack$n.log";

    spew("$Copy/$_", $text{$_}) for keys %text;
    my @failed = eval { build("$Copy/build$n.log");
                        run_test($test, $log) };
    my $error = $@;

    # as it was, but newer than what was built from it

    spew("$Copy/$_", slurp("$Root/$_")) for keys %text;
    print STDERR "attack $n: $error" if $error;

    my ($seen) = grep { defined && /attack(?: \d+,)* $n(?:, \d+)*: / } @failed;
    my ($name) = ($seen // '') =~ /(attack [\d, ]+: .*)/;
    $name =~ s/ line \d+\.?$|'$//g if $name;

    printf "| %d | %s.t: %s | %s | %s |\n", $n, $test, $name // '', $removed,
           $name ? 'yes' : "NO, see $log";

    return defined $name;
}

my $check = @ARGV && $ARGV[0] eq '-c' ? shift : 0;
my @numbers = @ARGV ? @ARGV : sort { $a <=> $b } keys %Attack;
my $wrong = 0;

$| = 1;

for my $n (@numbers) {
    die "no attack $n\n" if !$Attack{$n};
    eval { without($n); 1 } or $wrong = print STDERR $@;
}

exit $wrong if $check || $wrong;

copy_tree();
print "| attack | test | removed | seen to fail |\n|---|---|---|---|\n";
try_attack($_) or $wrong = 1 for @numbers;

exit $wrong;
