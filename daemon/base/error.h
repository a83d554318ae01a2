// SPDX-License-Identifier: Apache-2.0
// The two ways in which something does not work.
// Refusal: "the answer is no" (a peer's message, a certificate): a value, carried in Result<T>.
// Error: "could not do" (TPM, disk, network, a caller's mistake): an exception.
#pragma once

#include "daemon/base/reason.h"

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace imprint {

struct Refusal {
    Reason reason = Reason::internal;
    std::string detail; // what exactly, for people; never a secret
};

class Error : public std::runtime_error {
public:
    Error(Reason reason, const std::string& detail)
        : std::runtime_error(detail)
        , reason_(reason)
    {
    }
    explicit Error(const Refusal& refusal)
        : Error(refusal.reason, refusal.detail)
    {
    }
    Reason reason() const noexcept { return reason_; }
    Refusal refusal() const { return {reason_, what()}; }

private:
    Reason reason_;
};

// Either a T or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value)
        : content_(std::move(value))
    {
    }
    Result(Refusal refusal)
        : content_(std::move(refusal))
    {
    }

    explicit operator bool() const { return std::holds_alternative<T>(content_); }
    T& operator*() & { return std::get<T>(content_); }
    const T& operator*() const& { return std::get<T>(content_); }
    T&& operator*() && { return std::get<T>(std::move(content_)); }
    T* operator->() { return &std::get<T>(content_); }
    const T* operator->() const { return &std::get<T>(content_); }
    const Refusal& refusal() const { return std::get<Refusal>(content_); }

    // For callers to whom a refusal is a failure.
    T or_throw() &&
    {
        if (!*this)
            throw Error(refusal());
        return std::get<T>(std::move(content_));
    }

private:
    std::variant<T, Refusal> content_;
};

// A check with no value of its own: nothing, or the reason against.
using Verdict = Result<std::monostate>;
inline Verdict accepted() { return std::monostate{}; }

// Exceptions must not cross OpenSSL's frames: a callback leaves its Error in OpenSSL's error queue of this thread...
void leave_in_openssl(Reason reason, const char* detail) noexcept;
// ...and here it comes out again with its own reason and detail. Without one: `reason` and "<context>: <OpenSSL's own
// words for the first fault>". The error queue is empty afterwards.
Error openssl_error(Reason reason, const std::string& context);

} // namespace imprint
