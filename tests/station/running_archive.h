// SPDX-License-Identifier: Apache-2.0
// The real imprint-archive; for tests that are built with its path, IMPRINT_ARCHIVE.
#pragma once

#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <optional>

namespace imprint::test {

class RunningArchive {
public:
    RunningArchive(const TestPki& pki, const Certified& certified)
    {
        write_file(directory_ / "trust.pem", pki.trust_pem());
        write_file(directory_ / "tls.pem", pki::to_pem({certified.certificate}));
        pki::store_key(directory_ / "tls.key", certified.key.get(), std::nullopt);
        start();
    }

    void start()
    {
        process_.emplace(Arguments{IMPRINT_ARCHIVE, "--database", directory_ / "archive.db", "--trust",
                                   directory_ / "trust.pem", "serve", "--certificate", directory_ / "tls.pem", "--key",
                                   directory_ / "tls.key", "--listen", "127.0.0.1:0", "--listen-tls", address_});
        address_ = process_->line_after("listening https ").value();
    }
    void stop() { process_.reset(); } // its address stays
    std::filesystem::path database() const { return directory_ / "archive.db"; }
    std::string url() const { return "https://" + address_; }

private:
    TemporaryDirectory directory_;
    std::optional<Process> process_;
    std::string address_ = "127.0.0.1:0";
};

} // namespace imprint::test
