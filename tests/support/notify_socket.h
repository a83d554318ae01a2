// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/base/file.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace imprint::test {

// The receiving end of sd_notify. Reads all the time: a full queue would stop the sender.
class NotifySocket {
public:
    explicit NotifySocket(const std::filesystem::path& path);
    ~NotifySocket();
    // The first message that was not taken yet with the line `line` ("READY=1"); those before it are gone. Throws
    // std::runtime_error after `limit`.
    std::string wait_for(const std::string& line, std::chrono::seconds limit = std::chrono::seconds(30));
    // The first message that was not taken yet; nothing if none comes within `limit`.
    std::optional<std::string> take(std::chrono::milliseconds limit);

private:
    void read();

    Fd fd_;
    Fd stop_; // an eventfd
    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<std::string> messages_;
    std::jthread reader_;
};

} // namespace imprint::test
