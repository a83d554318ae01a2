// SPDX-License-Identifier: Apache-2.0
// References to objects in the TPM, and what ESYS hands out about them.
#pragma once

#include "daemon/tpm/connection.h"

#include <utility>

namespace imprint::tpm {

// A signature by an unrestricted key needs no proof of where the digest comes from.
inline constexpr TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};

// A transient object or a session: flushed at the end of its life. Where the connection ended before it, there is
// nothing to do: a resource manager has flushed it, or the next SecurityModule will.
class Transient {
public:
    Transient() = default;
    Transient(const Connection& connection, ESYS_TR tr)
        : esys_(connection.watch())
        , tr_(tr)
    {
    }
    Transient(Transient&& other) noexcept
        : esys_(std::move(other.esys_))
        , tr_(std::exchange(other.tr_, ESYS_TR_NONE))
    {
    }
    Transient& operator=(Transient&& other) noexcept
    {
        std::swap(esys_, other.esys_);
        std::swap(tr_, other.tr_);
        return *this;
    }
    Transient(const Transient&) = delete;
    Transient& operator=(const Transient&) = delete;
    ~Transient() { flush(); }

    ESYS_TR tr() const { return tr_; }
    void flush() noexcept;
    // The TPM has ended it by itself (a session used without continueSession).
    void release() noexcept;

private:
    std::weak_ptr<ESYS_CONTEXT> esys_;
    ESYS_TR tr_ = ESYS_TR_NONE;
};

// A persistent object or an NV index: looked up once, owns nothing in the TPM.
struct Persistent {
    ESYS_TR tr = ESYS_TR_NONE;
    explicit operator bool() const { return tr != ESYS_TR_NONE; }
};

// What ESYS allocates for us: cleansed (it may be a secret) and freed.
template <class T>
class Received {
public:
    Received() = default;
    Received(const Received&) = delete;
    Received& operator=(const Received&) = delete;
    ~Received()
    {
        if (value_)
            cleanse({reinterpret_cast<std::uint8_t*>(value_), sizeof *value_});
        Esys_Free(value_);
    }
    T** out() { return &value_; }
    const T& operator*() const { return *value_; }
    const T* operator->() const { return value_; }

private:
    T* value_ = nullptr;
};

} // namespace imprint::tpm
