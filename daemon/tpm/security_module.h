// SPDX-License-Identifier: Apache-2.0
// The TPM as Imprint's security module: what the device's side of every protocol asks of it.
// The numbers in brackets are the TPM commands that a call costs. Every call throws Error with a tpm_* reason.
#pragma once

#include "daemon/base/error.h"
#include "daemon/structures/attest.h"
#include "daemon/structures/wrap.h"
#include "daemon/tpm/connection.h"
#include "daemon/tpm/object.h"
#include "daemon/tpm/session.h"

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
    std::string vendor; // "IBM": the manufacturer's four characters without padding
    std::string firmware; // "8217.4131.22.13878": the four halves of the firmware version in decimal
    std::vector<std::string> algorithms; // of "rsa2048", "rsa3072", "p256", "p384", "hmac", "sha384"
    std::uint32_t nv_buffer_max = 0; // bytes that one NV_Read gives
    std::uint32_t reset_count = 0; // when it was asked for first
};

// A module key as TPM2_Create gives it, with the proof of its creation.
struct CreatedModuleKey {
    Bytes object; // TPM2B_PUBLIC
    Bytes sensitive; // TPM2B_PRIVATE, loadable under the chip storage key
    Bytes creation_data; // TPM2B_CREATION_DATA
    structures::Attestation creation; // TPM2_CertifyCreation by the identity key
};

class SecurityModule {
    struct Primary;

public:
    // Everything is looked up when it is first needed and remembered. Where `settings.tcti` names a TPM without a
    // resource manager, the transient objects and sessions that a crash left behind are flushed. [0, 2 without one]
    SecurityModule(Connection connection, Settings settings);
    SecurityModule(const SecurityModule&) = delete;
    SecurityModule& operator=(const SecurityModule&) = delete;
    ~SecurityModule();

    // --- looking
    // Always afresh. Throws Error(tpm_hierarchy_disabled) rather than take our objects for gone. [6; fewer or one more
    // where something is missing]
    Observation look();
    const Capabilities& capabilities(); // [8 the first time]
    // All EKs with a certificate, in the fixed order of preference; where there is none, the persistent ones that were
    // made from a known template; where there is neither, L-2 or else L-1 is made from its template for a moment.
    // Empty: no EK can be had. Later calls repeat the first one's answer.
    const std::vector<EndorsementKey>& endorsement_keys();
    // Whether this TPM has the key, at a persistent handle or by its template: also one that endorsement_keys() does
    // not list any more because TPM2_Clear has evicted it. Slow: makes the key.
    bool has(const EndorsementKey& ek);

    // --- one-time preparation; each step is done only if it is missing, so that it can be repeated after a crash
    // Makes and persists the chip storage key and the identity key, defines the epoch counter and increments it until
    // even, writes the anchor (32 bytes) last: an odd epoch without an anchor is a preparation that was cut off, and
    // one with an anchor is never touched. Returns the epoch. Throws Error(tpm_handle_taken) if something foreign
    // stands at a handle of ours, Error(anchor_mismatch) if another anchor was written before; both change nothing.
    std::uint64_t prepare(BytesView anchor);
    // Another checking key to remember, in one write, instead of `present` (Error(anchor_mismatch) if it is not that).
    // Whoever calls has seen the proof that the one vouches for the other. [8, 9 with an owner authorization]
    void replace_anchor(BytesView present, BytesView next);

    const TPMT_PUBLIC& storage_key(); // Error(tpm_refused) where there is none [0, 1 the first time]
    const TPMT_PUBLIC& identity_key();
    const TPMS_NV_PUBLIC& epoch_index() const { return epoch_public_; }
    Bytes epoch_index_name() const;
    // The storage key's Name that the files remember: sessions are salted to no other key (Error(tpm_intercepted)).
    void pin_storage_key(Bytes name) { pinned_ = std::move(name); }
    const Bytes& pinned_storage_key() const { return pinned_; }

    // --- the epoch
    std::uint64_t read_epoch(); // [1]
    // The commit point of every switch. [1, 2 with an owner authorization, and what make_room() costs]
    void increment_epoch();
    structures::Attestation certify_epoch(BytesView qualifying_data); // [1]
    structures::Attestation certify_storage_key(BytesView qualifying_data); // [1]

    // --- the identity key
    // Opens a credential made for `ek` and the identity key. Error(tpm_refused) if the credential is not for them.
    // [3; 1 more with PolicyB, 1 with an endorsement authorization, 2 if the EK is not persistent; the first time also
    // 1 + the number of persistent EKs to look them up]
    Secret activate_credential(const EndorsementKey& ek, const structures::Credential& credential);
    // DER ECDSA over SHA-256. The message does not begin with TPM_GENERATED_VALUE. [2 up to 1,024 bytes]
    Bytes sign_with_identity_key(BytesView message);

    // --- the chip storage key
    // One salted, encrypting policy session for a whole piece of work; ends with it. [1, and what make_room() costs]
    class Work {
    public:
        explicit Work(SecurityModule& module)
            : Work(module, Room::made)
        {
        }

        // StirRandom(variation), Create with the variation value as outsideInfo, Load, CertifyCreation, flush. [9]
        CreatedModuleKey create_module_key(std::uint64_t odd_epoch, BytesView variation, BytesView qualifying_data);
        // The loadable TPM2B_PRIVATE of an importable object. [3]
        Bytes import(const structures::Importable& importable);
        Transient load(BytesView object, BytesView sensitive); // TPM2B_PUBLIC, TPM2B_PRIVATE [3]
        // Under a loaded parent that the empty authorization value opens (structures/child.h). [1]
        Transient load_child(const Transient& parent, BytesView object, BytesView sensitive)
        {
            return load_under(parent.tr(), object, sensitive);
        }
        // Under the parent of key files: the one at its handle if that is it, and else loaded for the moment. [2 where
        // it stands, else 5, and 1 more if it stood there before]
        Transient load_key_file(BytesView parent_object, BytesView parent_sensitive, BytesView object,
                                BytesView sensitive);
        Secret unseal(const Transient& sealed); // [2]
        structures::Attestation certify(const Transient& object, BytesView qualifying_data); // [1]
        Bytes name(const Transient& object) const; // as the TPM told it when the object was loaded [0]
        // With keys of a data package, which the empty authorization value opens; what is secret goes over the bus
        // encrypted. Error(tpm_refused) where the TPM does not take what came from outside. [1 each]
        Bytes sign(const Transient& key, const TPMT_SIG_SCHEME& scheme, BytesView digest); // DER for ECDSA
        Secret hmac_with(const Transient& key, BytesView message); // SHA-256, at most 1,024 bytes
        Secret agree(const Transient& key, const TPMS_ECC_POINT& peer); // the shared x coordinate
        Secret decrypt(const Transient& key, BytesView ciphertext); // RSA-OAEP with SHA-256, no label
        Secret unseal_data(const Transient& sealed);
        // The next call of the above is the last that uses the session and ends it: saves its flush. [0]
        void last() { last_ = true; }

    private:
        friend class SecurityModule;
        enum class Use { again, over };
        enum class Room { made, beside_the_kept };
        Work(SecurityModule& module, Room room);
        void authorize(TPM2_CC command); // PolicyCommandCode and PolicyOR [2]
        void policy_command_code(TPM2_CC command);
        void attributes(Use use);
        void done(Use use); // the command succeeded
        Use use() const { return last_ ? Use::over : Use::again; }
        Transient load(BytesView object, BytesView sensitive, Use use);
        Transient load_under(ESYS_TR parent, BytesView object, BytesView sensitive);
        struct Made;
        void create(std::uint64_t odd_epoch, BytesView variation, Made& made);
        structures::Attestation certify_creation(const Transient& key, const Made& made, BytesView qualifying_data);
        void policy_epoch(std::uint64_t odd_epoch);
        std::optional<Bytes> sign(const Transient& key, BytesView message);
        std::optional<Secret> hmac(const Transient& key, BytesView message);
        SecurityModule* module_;
        Transient session_;
        bool last_ = false;
        bool dirty_ = false; // a command failed: the session still carries its policy
    };

    // The chip storage key and the identity key's public part, for the time of its life: those that stand in the TPM
    // or, where none does, the same ones as a preparation would make, which leave no trace. The identity key is not
    // there to sign: a small TPM's other two places are for a key and its parent. [0; 2 for each that is missing, and
    // what make_room() costs]
    class Trial {
    public:
        explicit Trial(SecurityModule& module);

    private:
        class Lent {
        public:
            enum class Part { whole, public_area };
            Lent(SecurityModule& module, Primary& key, Part part);
            ~Lent();
            Lent(const Lent&) = delete;
            Lent& operator=(const Lent&) = delete;

        private:
            Primary& key_;
            Transient made_;
            bool lent_ = false; // the key does not stand in the TPM
        };
        Lent storage_, identity_;
    };

    // --- the keys of the operating state
    // Both stay in the TPM once they are loaded (two objects at most; the storage key needs the third place of a small
    // TPM while it is used) until make_room(), another key of their kind, or any call that needs the room. One that has
    // gone meanwhile is loaded once more. Error(tpm_refused) in any epoch but the key's own.
    // DER ECDSA over SHA-256 of the message. [6 the first time, 3 later; 1 more to replace another key]
    Bytes sign_with_module_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch, BytesView message);
    // HMAC-SHA256 of a message of at most 1,024 bytes; neither goes over the bus in clear. [the same]
    Secret hmac_with_transaction_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch, BytesView message);
    // Flushes what stays loaded. [1 for each]
    void make_room();

    // --- the parent of key files (structures/child.h), for programs that use the TPM by themselves
    TPM2_HANDLE key_file_parent() const { return parent_.handle; } // where it stands [0]
    // Afterwards the parent that these blobs are of stands at the handle, instead of an earlier one of ours. Throws
    // Error(tpm_handle_taken), with nothing changed, if it is not ours what stands there, and Error(tpm_refused) if the
    // blobs are not of this chip's or not of a parent. [1 if it stands there already, else 8 or 9, 1 more with an owner
    // authorization, and what make_room() costs]
    void persist_parent(BytesView object, BytesView sensitive);
    // Afterwards none of ours stands there; what is not ours stays. [1, 1 more to evict it, 1 with an authorization]
    void evict_parent();

private:
    // A key of ours at its persistent handle.
    struct Primary {
        TPM2_HANDLE handle = 0;
        TPMT_PUBLIC (*area_template)() = nullptr; // of a primary key; the parent of key files is none
        bool (*is_ours)(const TPMT_PUBLIC&) = nullptr;
        std::string words; // "chip storage key"
        Persistent object{};
        TPMT_PUBLIC area{};
        Bytes name{};
    };
    struct Index {
        TPM2_HANDLE handle = 0;
        Persistent object{};
        TPMS_NV_PUBLIC area{};
    };
    // A key that stays loaded, and the blobs that it was loaded from.
    struct Kept {
        Bytes object, sensitive;
        Transient key;
    };
    enum class AnchorStatus { undefined, unwritten, written, foreign };

    void flush_leftovers();
    void require_hierarchies();
    // Afresh: what stands at the handle now.
    void look_at(Primary& key);
    void look_at(Index& index);
    // Remembered, or looked at now; checked.
    ESYS_TR storage();
    ESYS_TR identity();
    ESYS_TR epoch();
    ESYS_TR require(Primary& key);

    template <class Command>
    auto use(Kept& place, BytesView object, BytesView sensitive, std::uint64_t odd_epoch, Command command);

    HierarchySession authorize(ESYS_TR hierarchy);
    Transient create_primary(const TPMT_PUBLIC& area_template, TPMT_PUBLIC& area);
    void prepare_primary(Primary& key);
    // Makes the loaded object with this Name the one at the key's handle, where nothing stands.
    void persist(Primary& key, const Transient& loaded, const Bytes& name);
    void evict(Primary& key);
    bool parent_stands(BytesView object);
    void prepare_epoch();
    void define(Index& index, const TPMS_NV_PUBLIC& area);
    void undefine(Index& index);
    void prepare_anchor(BytesView anchor);
    void require_ours() const;
    bool counting() const;
    AnchorStatus anchor_status() const;

    Bytes read_certificate(TPMI_RH_NV_INDEX index);
    void add_certified_keys();
    void add_persistent_keys();
    void add_template_key();
    std::vector<Bytes> read_chain(const std::vector<TPM2_HANDLE>& present);
    const std::vector<Persistent>& persistent_eks(); // whatever stands in their range of handles
    ESYS_TR endorsement_object(const EndorsementKey& ek, Transient& created); // ESYS_TR_NONE: another TPM's
    void satisfy_ek_policy(const Transient& session, const EndorsementKey& ek);

    friend class Work;
    friend class Trial;
    Connection connection_;
    Settings settings_;
    Bytes pinned_;
    Primary storage_, identity_, parent_;
    Index epoch_, anchor_;
    Kept module_key_, transaction_key_;
    TPMS_NV_PUBLIC epoch_public_;
    std::optional<Capabilities> capabilities_;
    std::optional<std::vector<EndorsementKey>> endorsement_keys_;
    std::optional<std::vector<Persistent>> persistent_eks_;
};

} // namespace imprint::tpm
