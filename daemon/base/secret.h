// SPDX-License-Identifier: Apache-2.0
// Secrets live here and nowhere else: cleansed on destruction, never copied by accident.
#pragma once

#include "daemon/base/bytes.h"

#include <cstddef>
#include <limits>
#include <memory>

namespace imprint {

// Wipes the bytes in a way the compiler may not drop.
void cleanse(std::span<std::uint8_t> bytes) noexcept;

// Makes a vector (also one that grows) leave nothing behind in the heap.
template <class T>
struct CleansingAllocator {
    using value_type = T;
    CleansingAllocator() = default;
    template <class U>
    CleansingAllocator(const CleansingAllocator<U>&) noexcept
    {
    }
    T* allocate(std::size_t n) { return std::allocator<T>().allocate(n); }
    void deallocate(T* p, std::size_t n) noexcept
    {
        cleanse({reinterpret_cast<std::uint8_t*>(p), n * sizeof(T)});
        std::allocator<T>().deallocate(p, n);
    }
    friend bool operator==(const CleansingAllocator&, const CleansingAllocator&) = default;
};

// A move-only byte string whose memory is cleansed when it is freed.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::size_t size)
        : bytes_(size)
    {
    }
    explicit Secret(BytesView bytes)
        : bytes_(bytes.begin(), bytes.end())
    {
    }
    Secret(Secret&&) noexcept = default;
    Secret& operator=(Secret&&) noexcept = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() = default;

    Secret clone() const { return Secret(view()); }
    BytesView view() const { return {bytes_.data(), bytes_.size()}; }
    std::uint8_t* data() { return bytes_.data(); }
    const std::uint8_t* data() const { return bytes_.data(); }
    std::size_t size() const { return bytes_.size(); }
    bool empty() const { return bytes_.empty(); }
    void resize(std::size_t size) { bytes_.resize(size); }
    auto begin() const { return bytes_.begin(); }
    auto end() const { return bytes_.end(); }

private:
    std::vector<std::uint8_t, CleansingAllocator<std::uint8_t>> bytes_;
};

// Cleanses a C structure (a TPM2B_SENSITIVE, say) at the end of its scope.
template <class T>
class Cleansed {
public:
    Cleansed() = default;
    Cleansed(const Cleansed&) = delete;
    Cleansed& operator=(const Cleansed&) = delete;
    ~Cleansed() { cleanse({reinterpret_cast<std::uint8_t*>(&value), sizeof value}); }
    T value{};
};

// Bytes from the operating system's generator through OpenSSL. Throws Error(internal) if it has none to give.
Bytes random_bytes(std::size_t size);
Secret random_secret(std::size_t size);

} // namespace imprint
