// SPDX-License-Identifier: Apache-2.0
// Another archive, over HTTPS, with a mirror's certificate.
#pragma once

#include "backup/archive/source.h"
#include "daemon/tls/stream.h"

namespace imprint::archive {

class HttpsSource : public Source {
public:
    // `url`: "https://host:port". Whoever answers there has to be an archive by `trust`, which outlives this, and to
    // have this name. Every answer has a limit and a deadline.
    HttpsSource(const std::string& url, const pki::Trust& trust, tls::ClientIdentity identity);

    void visit(const std::function<void(const Listed&)>& visitor) override;
    std::vector<Result<Copy>> fetch(std::span<const Listed> records) override;
    std::vector<Replacement> replacements() override;

private:
    struct Question {
        std::string target;
        std::size_t limit; // of the answer
    };
    // All of them at once. Nothing where nothing is there; throws Error for any other answer but a good one.
    std::vector<std::optional<Bytes>> ask(const std::vector<Question>& questions);
    Bytes ask(const Question& question); // for what is always there
    std::vector<std::optional<Bytes>> exchange(const std::vector<Question>& questions);
    std::optional<Bytes> read_answer(std::size_t limit);
    void connect();

    std::string address_;
    const pki::Trust& trust_;
    tls::SharedContext context_;
    tls::Cancel never_;
    std::optional<tls::Stream> stream_;
};

} // namespace imprint::archive
