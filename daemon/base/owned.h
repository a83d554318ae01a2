// SPDX-License-Identifier: Apache-2.0
// One RAII alias for every C handle: Owned<BIO, BIO_free_all>.
#pragma once

#include <memory>

namespace imprint {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* handle) const noexcept
    {
        Free(handle);
    }
};

template <class T, auto Free>
using Owned = std::unique_ptr<T, Freed<Free>>;

} // namespace imprint
