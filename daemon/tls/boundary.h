// SPDX-License-Identifier: Apache-2.0
// Where C calls C++: the one place at which exceptions stop.
#pragma once

#include "daemon/base/error.h"

namespace imprint::tls {

namespace detail {

template <auto F>
struct Boundary;

template <class R, class... Arguments, R (*F)(Arguments...)>
struct Boundary<F> {
    static R call(Arguments... arguments) noexcept
    {
        try {
            return F(arguments...);
        } catch (const Error& error) {
            leave_in_openssl(error.reason(), error.what());
        } catch (const std::exception& error) {
            leave_in_openssl(Reason::internal, error.what());
        } catch (...) {
            leave_in_openssl(Reason::internal, "an exception of no known kind");
        }
        return R();
    }
};

} // namespace detail

// The C face of F: what F throws goes into OpenSSL's error queue (openssl_error() takes it out), and the caller gets
// zero, which is failure to every OpenSSL callback that this is used for.
template <auto F>
inline constexpr auto boundary = &detail::Boundary<F>::call;

} // namespace imprint::tls
