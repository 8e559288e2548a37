#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# How many rows each statement of src/store reads, on tables of two sizes: no
# statement may read more when the tables are larger.  store_big calls the
# store and counts; the tables, and what is unpleasant in them, are made here.
# A statement of the list that was not run fails as one that grows does.
#
# BIG_ROWS are the users of the larger size (200,000), the smaller one has a
# hundredth, and 40,000 at least.  STORE_BIG is the binary.  BIG_MEMORY is the
# buffer pool of the server.  Times are told, and never a check.

use strict;
use warnings;

use File::Basename qw(dirname);
use Cwd ();

my ($rows, $memory);

BEGIN {
    $rows = $ENV{BIG_ROWS} // 200_000;
    $memory = $ENV{BIG_MEMORY} // '256M';
    die "BIG_ROWS: at least 40000\n" if $rows !~ /^\d+$/ || $rows < 40_000;
}

use lib dirname(__FILE__) . '/../lib';
use OtpReg -plain, -nosmtp, -nomodule, db_args => [
    "--innodb-buffer-pool-size=$memory", '--innodb-log-file-size=256M',
    '--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=0',
];
use Test::More;

use constant {
    DAYS => 100,            # over which the users came
    LESS => 40_000,
    CHUNK => 1 << 17,       # rows of an INSERT
    KB => 2,                # on the disk, for a user and all that is his
    MORE => 16,             # rows that may differ
};

my $top = Cwd::abs_path(dirname(__FILE__) . '/../..');
my $binary = $ENV{STORE_BIG} // make_program();
my ($n, $start);            # users by now, and when the first of them came


sub make_program {
    my $made = 'build/unit/store_big';

    local %ENV = %ENV;
    delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};

    system("make -s -C $top -f t/unit/unit.mk $made 1>&2") == 0
        or BAIL_OUT("cannot make $made");

    return "$top/$made";
}


sub enough_disk {
    my ($free) = `df -kP '@{[test_dir()]}'` =~ /(\d+)\s+\d+%/;
    my $need = KB * $rows;

    BAIL_OUT("$rows users need $need kB of disk, $free kB are free")
        if $free < $need;
}


# ----- the tables: user number $u came at $at; one of ten was never verified,
# and half of these came by no sign-up, all at one moment

sub fill {
    ($n) = @_;

    $start = sql("SELECT UTC_TIMESTAMP(6) - INTERVAL @{[DAYS]} DAY");
    sql("TRUNCATE $_") for qw(users otps messages budgets sends sms_sends
                              sms_totals mail_totals);

    for (my $from = 1; $from <= $n; $from += CHUNK) {
        my $to = $from + CHUNK - 1;
        fill_chunk($from, $to > $n ? $n : $to);
    }

    fill_minutes();
    analyze();
}


sub numbers {
    sql("CREATE TABLE big (i INT UNSIGNED NOT NULL PRIMARY KEY);"
        . 'INSERT INTO big VALUES (0);'
        . join ';', map { "INSERT INTO big SELECT i + $_ FROM big" }
                    map { 1 << $_ } 0 .. 16);
}


sub fill_chunk {
    my ($from, $to) = @_;

    my $u = "(b.i + $from)";
    my $step = int(DAYS * 86_400e6 / $n);
    my $at = "('$start' + INTERVAL $u * $step MICROSECOND)";
    my $id = id_of($u);
    my $email = "CONCAT('user', LPAD($u, 8, '0'), '\@example.com')";
    my $source = "FROM big b WHERE b.i <= $to - $from";
    my $signed_up = "$source AND $u % 20 <> 0";
    my $verified = "IF($u % 10 = 0, NULL, $at)";

    sql(join ';', "SET time_zone = '+00:00', unique_checks = 0", 'BEGIN',
        "INSERT INTO users (id, username, username_key, email, email_key,
            phone, phone_key, password, is_active, email_verified_at,
            phone_verified_at, verified_at, created_at)
         SELECT $u, CONCAT('user', LPAD($u, 8, '0')),
            CONCAT('user', LPAD($u, 8, '0')), $email, $email,
            CONCAT('+49151', LPAD($u, 8, '0')),
            CONCAT('+49151', LPAD($u, 8, '0')), REPEAT('x', 97),
            $u % 10 <> 0, $verified, $verified, $verified,
            IF($u % 20 = 0, '$start' + INTERVAL 9 DAY, $at) $source",
        "INSERT INTO otps (id, purpose, user_id, channel, address,
            address_key, key_name, digits, attempts, created_at, sent_at,
            expires_at, consumed_at)
         SELECT $id, 1, $u, 1, $email, $email, 'k1', 6, 1, $at, $at,
            $at + INTERVAL 10 MINUTE, $verified $signed_up",
        "INSERT INTO messages (id, site, otp_id, template, channel, address,
            address_key, attempts, created_at, expires_at, sent_at)
         SELECT $id, 'site', $id, 'otp', 1, $email, $email, 1, $at,
            $at + INTERVAL 10 MINUTE, $at $signed_up",
        "INSERT INTO sends (channel, address_key, sent_at)
         SELECT 1, $email, $at $signed_up",
        "INSERT INTO budgets (channel, address_key, used_at)
         SELECT 1, $email, $at $signed_up",
        "INSERT INTO sms_sends (site, prefix, otp_id, sent_at)
         SELECT 'site', '+49151', $id, $at $signed_up AND $u % 2 = 1",
        'COMMIT');
}


sub id_of {
    my ($u) = @_;

    return "UNHEX(CONCAT(LPAD(HEX($u), 16, '0'), LPAD(HEX($u), 16, '0')))";
}


sub fill_minutes {
    sql("INSERT INTO sms_totals (site, began_at, sent)
         SELECT 'site', DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL b.i MINUTE,
            '%Y-%m-%d %H:%i:00'), 1 FROM big b WHERE b.i < $n");
    sql("INSERT INTO mail_totals (site, domain, began_at, slot, sent)
         SELECT 'site', d.domain, FROM_UNIXTIME(UNIX_TIMESTAMP() DIV 600 * 600)
            - INTERVAL (b.i DIV 8) * 10 MINUTE, b.i % 8, 1
         FROM big b JOIN (SELECT '' AS domain UNION SELECT 'example.com') d
         WHERE b.i < $n");
}


# and what an UPDATE of many left behind in the indexes is gone, or all who read
# there step over it for a while

sub analyze {
    sql('ANALYZE TABLE users, otps, messages, budgets, sends, sms_sends,'
        . ' sms_totals, mail_totals');

    wait_until(sub {
        (sql("SELECT variable_value FROM information_schema.global_status
              WHERE variable_name = 'INNODB_HISTORY_LIST_LENGTH'") // 0) < 100
    }, 600, 0.5) or diag('InnoDB is still purging');
}


# ----- what is unpleasant, one after the other

# the newest tenth of the messages

sub messages {
    my ($set) = @_;

    sql("SET time_zone = '+00:00'; UPDATE messages SET lease = NULL,"
        . " sent_at = NULL, failed_at = NULL, $set"
        . ' WHERE id BETWEEN ' . id_of($n - int($n / 10)) . ' AND '
        . id_of($n));
    analyze();
}


# some came to one address and number within a day: a hundredth

sub crowd {
    my $many = int($n / 100);
    my $when = "(UTC_TIMESTAMP(6) - INTERVAL b.i * 85000000 DIV $many * 1000"
               . ' MICROSECOND)';

    for my $to (['crowd@example.com', 'otp', 'NULL'],
                ['user00000001@example.com', 'otp', 'NULL'],
                ['user00000001@example.com', 'taken', $when])
    {
        my ($address, $template, $failed) = @$to;

        sql("INSERT INTO messages (id, site, otp_id, template, channel,
                address, address_key, attempts, created_at, expires_at,
                sent_at, failed_at)
             SELECT RANDOM_BYTES(16), 'site', @{[id_of(1)]}, '$template', 1,
                '$address', '$address', 1, $when,
                $when + INTERVAL 10 MINUTE, $when, $failed
             FROM big b WHERE b.i < $many;
             INSERT INTO sends (channel, address_key, sent_at)
             SELECT 1, '$address', $when FROM big b WHERE b.i < $many");
    }

    sql("INSERT INTO sms_sends (site, prefix, otp_id, sent_at)
         SELECT 'site', '+49170', @{[id_of('(b.i + 1)')]}, $when
         FROM big b WHERE b.i < $many");
    analyze();
}


my $soon = 'INTERVAL CRC32(id) % 600000000 MICROSECOND';

my @cases = (
    ['nothing is due', sub { }],
    ['a lot is due', sub {
        messages("due_at = NOW(6) - $soon,"
                 . ' expires_at = NOW(6) + INTERVAL 6 HOUR') }],
    ['a lot has expired', sub {
        messages("due_at = NOW(6) - INTERVAL 1 HOUR - $soon,"
                 . ' expires_at = NOW(6) - INTERVAL 1 HOUR') }],
    ['a lot is due, and a lot has expired', sub {
        messages("due_at = NOW(6) - $soon,"
                 . ' expires_at = NOW(6)'
                 . ' + INTERVAL IF(CRC32(otp_id) % 2, 6, -1) HOUR') }],
    ['a lot is put off', sub {
        messages("due_at = NOW(6) + INTERVAL 1 HOUR + $soon,"
                 . ' expires_at = NOW(6) + INTERVAL 6 HOUR') }],
    ['a lot is put off until after its end', sub {
        messages("due_at = NOW(6) + INTERVAL 1 HOUR + $soon,"
                 . ' expires_at = NOW(6) - INTERVAL 1 HOUR') }],
    ['many to one address and one number', sub {
        messages('due_at = NULL, sent_at = NOW(6)');
        crowd() }],
    ['nothing is over', sub {
        messages('due_at = NULL, sent_at = NOW(6)');
        $ENV{BIG_NOW} = sql("SET time_zone = '+00:00';"
                            . "SELECT UNIX_TIMESTAMP('$start')") }, 'purge'],
);


# ----- run and compare

# what each statement cost in a case

sub measure {
    my ($name, $only) = @_;

    my (%cost, $last);

    open my $out, '-|', $binary, $only // () or die "$binary: $!\n";

    while (my $line = <$out>) {
        chomp $line;

        if ($line =~ /^statement (\w+) (\d+) (\d+) (\d+)$/) {
            $last = $cost{$1} = { calls => $2, rows => $3, us => $4,
                                  plan => [] };

        } elsif ($line =~ /^    /) {
            push @{ $last->{plan} }, $line;

        } elsif ($line =~ /^not ok \d+ - (.*)/) {
            fail("$name, $n users: $1");

        } elsif ($line =~ /^# (.*)/) {
            note($1);
        }
    }

    ok(close $out, "$name, $n users");
    return \%cost;
}


sub size {
    my $began = time;

    fill(@_);
    note("$n users: filled in ", time - $began, ' s');
    delete $ENV{BIG_NOW};

    return map {
        my ($name, $prepare, $only) = @$_;
        $prepare->();
        $name => measure($name, $only);
    } @cases;
}


# how many a batch of 32 or 1,000 holds depends on what the case before left, so
# each case of the larger size is compared with the worst of the smaller

sub compare {
    my ($statement, $small, $big) = @_;

    my (@grown, @plans, $calls);
    my ($most) = sort { $b <=> $a }
                 map { $_->{$statement}{rows} } values %$small;

    for my $name (map { $_->[0] } @cases) {
        my ($less, $more) = map { $_->{$name}{$statement} } $small, $big;

        $calls += $_->{calls} for $less, $more;
        push @grown, $name if $more->{rows} > $most + MORE;

        note(sprintf '%-38s %8d %8d rows %10.1f %10.1f ms', $name,
             map({ $_->{rows} } $less, $more),
             map { $_->{us} / 1000 } $less, $more) if $more->{calls};

        my $plan = join "\n", @{ $more->{plan} };
        push @plans, $plan if $plan ne '' && !grep { $_ eq $plan } @plans;
    }

    note("EXPLAIN:\n", join "\n\n", @plans);
    ok($calls, "$statement was run");
    is(join('; ', @grown), '', "$statement reads no more of larger tables");
}


enough_disk();
numbers();

my $less = int($rows / 100);
$less = LESS if $less < LESS;

my %small = size($less);
my %big = size($rows);

subtest($_, sub { compare($_, \%small, \%big) })
    for sort keys %{ $big{ $cases[0][0] } };

done_testing();
