// SPDX-License-Identifier: Apache-2.0
// The TPM as Imprint's security module: what the device's side of every protocol asks of it.
// The numbers in brackets are the TPM commands that a call costs. Every call throws Error with a tpm_* reason.
#pragma once

#include "daemon/base/error.h"
#include "daemon/structures/attest.h"
#include "daemon/structures/wrap.h"
#include "daemon/tpm/connection.h"
#include "daemon/tpm/object.h"

#include <optional>
#include <string>
#include <vector>

namespace imprint::tpm {

// An endorsement key with what is known of it. The area is read from the TPM or made from the certificate's key.
struct EndorsementKey {
    std::string chip_identifier;
    TPMT_PUBLIC area{};
    Bytes certificate; // DER, trimmed; empty where the TPM holds none
    std::vector<Bytes> chain; // intermediate certificates found in NV, DER
};

// What a look at the TPM shows. Nothing is changed by looking.
struct Observation {
    enum class Epoch { undefined, foreign, counting };
    Epoch epoch_status = Epoch::undefined; // foreign: something else stands at our handle
    std::uint64_t epoch = 0; // valid when counting
    Bytes storage_key_name; // of what stands at our persistent handle; empty if nothing does
    Bytes identity_key_name;
    std::optional<Bytes> anchor; // SHA-256 of the manufacturer's checking key, where the index exists
};

struct Capabilities {
    std::string vendor; // "IBM ", printable
    std::string firmware; // "8217.4131.22.13878", hexadecimal groups as tpm2-tools print them
    std::vector<std::string> algorithms; // of "rsa2048", "rsa3072", "p256", "p384", "hmac", "sha384"
    std::uint32_t nv_buffer_max = 0;
    std::uint32_t reset_count = 0;
};

// A module key as TPM2_Create gives it, with the proof of its creation.
struct CreatedModuleKey {
    Bytes object; // TPM2B_PUBLIC
    Bytes sensitive; // TPM2B_PRIVATE, loadable under the chip storage key
    Bytes creation_data; // TPM2B_CREATION_DATA
    structures::Attestation creation; // TPM2_CertifyCreation by the identity key
};

class SecurityModule {
public:
    // Looks up what is there (ReadPublic of our handles); flushes transient objects and sessions only if the TCTI has
    // no resource manager and they are certainly ours. Throws Error(tpm_unavailable).
    SecurityModule(Connection connection, Settings settings);

    // --- looking
    Observation look();
    Capabilities capabilities();
    // All EKs with a certificate first, in the fixed order of preference; then the persistent ones without.
    // If there is neither, L-2 (or L-1) is made from its template. Empty: no EK can be had.
    std::vector<EndorsementKey> endorsement_keys();

    // --- one-time preparation; each step is done only if it is missing, so that it can be repeated after a crash
    // Makes and persists the chip storage key and the identity key, defines the epoch counter and increments it until
    // even, writes the anchor. Returns the epoch.
    std::uint64_t prepare(BytesView anchor);

    const TPMT_PUBLIC& storage_key() const; // after prepare() or a look that found it
    const TPMT_PUBLIC& identity_key() const;
    const TPMS_NV_PUBLIC& epoch_index() const;
    Bytes epoch_index_name() const;
    // The storage key's Name that the files remember: sessions are salted to no other key (Error(tpm_intercepted)).
    void pin_storage_key(Bytes name);

    // --- the epoch
    std::uint64_t read_epoch(); // [1]
    void increment_epoch(); // [1] the commit point of every switch
    structures::Attestation certify_epoch(BytesView qualifying_data); // [1]
    structures::Attestation certify_storage_key(BytesView qualifying_data); // [1]

    // --- the identity key
    // Opens a credential made for `ek` and the identity key. [3, 4 with PolicyB, 2 more if the EK is not persistent]
    Secret activate_credential(const EndorsementKey& ek, const structures::Credential& credential);
    Bytes sign_with_identity_key(BytesView message); // DER ECDSA over SHA-256 [2 up to 1,024 bytes]

    // --- the chip storage key
    // One salted, encrypting policy session for a whole piece of work; ends with it. [1]
    class Work {
    public:
        explicit Work(SecurityModule& module);

        // StirRandom(variation), Create with the variation value as outsideInfo, Load, CertifyCreation, flush. [9]
        CreatedModuleKey create_module_key(std::uint64_t odd_epoch, BytesView variation, BytesView qualifying_data);
        // The loadable TPM2B_PRIVATE of an importable object. [3]
        Bytes import(const structures::Importable& importable);
        Transient load(BytesView object, BytesView sensitive); // TPM2B_PUBLIC, TPM2B_PRIVATE [3]
        Secret unseal(const Transient& sealed); // [2]
        structures::Attestation certify(const Transient& object, BytesView qualifying_data); // [1]
        // The next command on the chip storage key ends the session: saves its flush.
        void last();

    private:
        void authorize(TPM2_CC command); // PolicyCommandCode and PolicyOR [2]
        SecurityModule* module_;
        Transient session_;
        bool last_ = false;
    };

    // --- the module key, in the operating state
    // Loads, satisfies the epoch policy, signs, flushes. DER ECDSA over SHA-256 of the message.
    // Throws Error(tpm_refused) in any epoch but the key's own.
    Bytes sign_with_module_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch, BytesView message);

private:
    friend class Work;
    Connection connection_;
    Settings settings_;
};

} // namespace imprint::tpm
