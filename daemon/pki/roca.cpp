// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/roca.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <array>

namespace imprint::pki {

namespace {

// The odd ones that divide the modulus of the faulty construction at every key size.
constexpr std::array<unsigned, 38> primes{3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                          47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                          107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
constexpr unsigned generator = 65537;

bool is_power_of_the_generator(unsigned residue, unsigned prime)
{
    unsigned power = 1;
    do {
        if (power == residue)
            return true;
        power = power * generator % prime;
    } while (power != 1);
    return false;
}

} // namespace

bool has_roca_fingerprint(BytesView spki)
{
    const std::uint8_t* data = spki.data();
    const Key key(d2i_PUBKEY(nullptr, &data, static_cast<long>(spki.size())));
    BIGNUM* found = nullptr;
    if (key)
        EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_N, &found);
    const Owned<BIGNUM, BN_free> modulus(found);
    ERR_clear_error(); // a key of another kind has no modulus
    return modulus && std::ranges::all_of(primes, [&](unsigned prime) {
               return is_power_of_the_generator(static_cast<unsigned>(BN_mod_word(modulus.get(), prime)), prime);
           });
}

} // namespace imprint::pki
