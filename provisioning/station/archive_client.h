// SPDX-License-Identifier: Apache-2.0
// Hands records and replacements to the archive over HTTPS with mutual TLS. Includes Asio: for few translation units.
#pragma once

#include "backup/package/receipt.h"
#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace imprint::station {

// The archive's answer. Only `accepted` comes with a receipt, which was checked against record and trust; there is none
// for replacements.
struct Handover {
    enum class Outcome {
        accepted,
        conflict, // other bytes stand there, or the identity is another chip's: an operator has to look
        refused, // this record, now; others may do better
        unreachable, // no answer
    };
    Outcome outcome = Outcome::unreachable;
    Bytes receipt;
    std::string detail; // what went wrong
};

class ArchiveClient {
public:
    // "https://host:port". Throws Error(invalid_argument). The credentials are borrowed.
    ArchiveClient(const std::string& url, const Credentials& credentials);
    ~ArchiveClient();
    // Another trust than the credentials had, for what begins from now on.
    void use(std::shared_ptr<const pki::Trust> trust);

    // One connection, at most `limit` for all of it. Does not throw for what the network or the archive do.
    boost::asio::awaitable<Handover> put(const RecordEntry& record, std::chrono::seconds limit);
    boost::asio::awaitable<Handover> put(const ReplacementEntry& replacement, std::chrono::seconds limit);
    // Accepted if the archive gives these very bytes and `receipt`, as it was stored, is its receipt for them.
    boost::asio::awaitable<Handover> read_back(const RecordEntry& record, const Bytes& receipt,
                                               std::chrono::seconds limit);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::station
