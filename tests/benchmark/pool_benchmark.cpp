// SPDX-License-Identifier: Apache-2.0
// Fills a pool, against a loop of `openssl genpkey`: how many pairs a second of processor time gives.
#include "provisioning/station/pool_fill.h"
#include "tests/support/process.h"

#include <sys/resource.h>

#include <iomanip>
#include <iostream>

namespace imprint::benchmark {

namespace {

using station::PairKind;

double processor_seconds(int who)
{
    rusage usage{};
    getrusage(who, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Kind {
    PairKind kind;
    std::size_t pairs, by_openssl;
    test::Arguments options;
};

double pool_rate(const Kind& kind)
{
    const test::TemporaryDirectory directory;
    station::Store store(directory / "station.db");
    const station::Pool pool(random_secret(32));
    const double before = processor_seconds(RUSAGE_SELF);
    const auto made = station::fill(store, pool, {kind.kind, kind.pairs, 2}, false, [](std::size_t) {});
    return static_cast<double>(made) / (processor_seconds(RUSAGE_SELF) - before);
}

double openssl_rate(const Kind& kind)
{
    test::Arguments arguments{"openssl", "genpkey"};
    arguments.insert(arguments.end(), kind.options.begin(), kind.options.end());
    const double before = processor_seconds(RUSAGE_CHILDREN);
    for (std::size_t i = 0; i < kind.by_openssl; ++i)
        if (test::run(arguments).status != 0)
            throw std::runtime_error("openssl genpkey failed");
    return static_cast<double>(kind.by_openssl) / (processor_seconds(RUSAGE_CHILDREN) - before);
}

} // namespace

void run()
{
    const std::vector<Kind> kinds{
        {PairKind::p256, 5000, 100, {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}},
        {PairKind::rsa2048, 50, 50, {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}}};
    std::cout << std::fixed << std::setprecision(1);
    for (const auto& kind : kinds) {
        const double pool = pool_rate(kind);
        const double openssl = openssl_rate(kind);
        std::cout << name(kind.kind) << ": pool fill, durable: " << pool
                  << " pairs a processor second; openssl genpkey: " << openssl << "; ratio " << pool / openssl << '\n';
    }
}

} // namespace imprint::benchmark

int main()
{
    imprint::benchmark::run();
    return 0;
}
