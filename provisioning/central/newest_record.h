// SPDX-License-Identifier: Apache-2.0
// Asks the archive whether a device has been personalized again. Includes Asio: for few translation units.
#pragma once

#include "daemon/pki/verify.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <memory>
#include <string>

namespace imprint::central {

class NewestRecord {
public:
    // "http://host:port"; a name is looked up here, once. Throws Error(invalid_argument | not_configured). Records are
    // checked in the worker, which is borrowed.
    NewestRecord(const boost::asio::any_io_executor& executor, const std::string& url,
                 boost::asio::thread_pool& worker);
    ~NewestRecord();

    // The chip's newest sequence above `epoch`, proven by its record, or `epoch` itself if the archive has none above.
    // Answers are kept for some minutes. A Refusal where the archive cannot be asked, or does not prove what it says.
    boost::asio::awaitable<Result<std::uint64_t>> above(std::string chip, std::uint64_t epoch,
                                                        std::shared_ptr<const pki::Trust> trust);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The sequence in the archive's Content-Location, "/v1/records/CHIP/SEQUENCE".
std::optional<std::uint64_t> sequence_in(std::string_view content_location, std::string_view chip);

} // namespace imprint::central
