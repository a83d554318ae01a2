// SPDX-License-Identifier: Apache-2.0
// A backend under the test's control.
#pragma once

#include "daemon/base/file.h"
#include "tests/central/proxy_reader.h"

#include <string>

namespace imprint::test {

// A connection as the backend has it; every operation has 20 s, and throws std::runtime_error when they have passed.
class Handed {
public:
    explicit Handed(Fd fd);
    ProxyHeader header();
    std::string read_some(); // empty at the end; throws std::system_error for a reset
    std::string read(std::size_t size);
    std::string read_all();
    void write(const std::string& text);
    void close_half();
    void reset();
    int fd() const { return fd_.get(); }

private:
    Fd fd_;
};

class TestBackend {
public:
    TestBackend(); // TCP
    explicit TestBackend(const std::filesystem::path& socket);
    std::string address() const { return address_; }
    Handed accept();

private:
    Fd fd_;
    std::string address_;
};

} // namespace imprint::test
