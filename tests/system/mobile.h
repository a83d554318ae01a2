// SPDX-License-Identifier: Apache-2.0
// A mobile personalization unit: a station of the factory's on a laptop, with its own database and no network.
#pragma once

#include "tests/support/factory.h"

#include <memory>

namespace imprint::test {

class Mobile {
public:
    // Certified and set up at the factory, with serial numbers of its own.
    explicit Mobile(const Factory& factory, const std::string& name = "laptop", const std::string& prefix = "LT");

    // Serves on this address until the end of its life, or until leave().
    void serve(const std::string& address);
    void leave() { process_.reset(); }
    // What a proxy command is: one conversation on standard input and output.
    std::string serve_stdio(const Arguments& more = {}) const;
    Finished command(const Arguments& arguments) const;
    // With the options that say where its keys are.
    Finished sync(const Arguments& arguments, const Environment& environment = {}) const;
    std::filesystem::path state() const { return directory_ / "state"; }
    std::int64_t rows(const std::string& table, const std::string& condition = "1") const;

private:
    Arguments serving() const;

    TemporaryDirectory directory_;
    std::filesystem::path keys_, vendors_;
    std::unique_ptr<Process> process_;
};

} // namespace imprint::test
