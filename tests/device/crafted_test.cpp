// SPDX-License-Identifier: Apache-2.0
// Files that somebody has made up under a digest that is right: whatever stands in them, the daemon starts, says what
// is wrong by an Error, and gives nothing out that is not the device's own. The sanitizers watch.
#include "daemon/lifecycle/store.h"
#include "daemon/structures/name.h"
#include "tests/device/fixture.h"

#include <random>

namespace imprint::test {

namespace {

using lifecycle::Personalization;

constexpr std::size_t digest_size = 32;

class Crafted : public DeviceTest {
protected:
    // An operating device with a key that was imported by itself, one under a parent, and a secret.
    Crafted()
    {
        const auto content = std::make_shared<const Secret>(as_bytes("correct horse"));
        station.give({{{"channel", station::DerivedKey{"channel", 1}},
                       {"file", station::PairKey{}, true},
                       {"wifi", station::OpaqueSecret{content, {}}}}});
        bring_up();
        mac_ = mac();
        files_ = box.files();
    }
    Secret mac() { return box.device().use_key({Operation::hmac, "channel", {}, to_bytes("challenge"), 0}); }

    // What a daemon that finds these files is asked for. Nothing but an Error may come out of it.
    void use_everything()
    {
        box.boot();
        const auto status = box.device().status();
        EXPECT_FALSE(name(status.state).empty());
        const auto attempt = [](const std::function<void()>& call) { (void)reason_of(call); };
        attempt([&] { EXPECT_TRUE(equal(mac().view(), mac_.view())) << "another key"; });
        attempt([&] { box.device().use_key({Operation::sign, "file", {}, Bytes(32, 7), 0}); });
        attempt([&] {
            const Secret secret = box.device().use_key({Operation::open, "wifi", {}, {}, 0});
            EXPECT_EQ(as_text(secret.view()), "correct horse");
        });
        for (const auto& label : status.keys)
            attempt([&] { box.device().key(label); });
        attempt([&] { box.device().central_pins(); });
        attempt([&] { box.device().check_restore(box.device().export_backup(), box.epoch(), {}); });
        attempt([&] { box.device().enter_operating({}); });
        EXPECT_EQ(box.leftovers(), 0U);
    }
    void put_back()
    {
        for (const auto& [name, content] : files_)
            write_file(box.file(name), content);
    }
    void expect_as_before()
    {
        put_back();
        box.boot();
        ASSERT_EQ(name(box.state()), name(State::operating));
        EXPECT_TRUE(equal(mac().view(), mac_.view()));
    }

    using Operation = device::KeyUse::Operation;
    Secret mac_;
    std::map<std::string, Bytes> files_;
};

TEST_F(Crafted, Attack16_AnyBytesUnderTheRightDigest)
{
    std::mt19937 random{16};
    for (const auto& [name, content] : files_) {
        const Bytes body(content.begin() + digest_size, content.end());
        for (int i = 0; i < 15; ++i) {
            Bytes changed = body;
            const auto at = random() % changed.size();
            if (i % 3 == 0)
                changed[at] = static_cast<std::uint8_t>(random());
            else // a length, wherever one stands
                std::fill_n(changed.begin() + static_cast<std::ptrdiff_t>(at),
                            std::min<std::size_t>(2, body.size() - at), i % 3 == 1 ? 0xff : 0);
            Bytes file = structures::digest(TPM2_ALG_SHA256, changed);
            file.insert(file.end(), changed.begin(), changed.end());
            write_file(box.file(name), file);
            SCOPED_TRACE(name + " changed at " + std::to_string(at));
            use_everything();
            put_back();
        }
    }
    expect_as_before();
}

TEST_F(Crafted, Attack16_EveryFieldWithWhatItNeverHolds)
{
    using Field = std::string* (*)(Personalization&);
    constexpr std::array<Field, 14> fields{
        [](Personalization& p) { return p.mutable_identity_kind(); },
        [](Personalization& p) { return p.mutable_identity_value(); },
        [](Personalization& p) { return p.mutable_identity_certificate(); },
        [](Personalization& p) { return p.mutable_module_key()->mutable_object(); },
        [](Personalization& p) { return p.mutable_module_key()->mutable_sensitive(); },
        [](Personalization& p) { return p.mutable_module_key()->mutable_certificate(); },
        [](Personalization& p) { return p.mutable_certificates(0); },
        [](Personalization& p) { return p.mutable_keys(0)->mutable_label(); },
        [](Personalization& p) { return p.mutable_keys(0)->mutable_object(); },
        [](Personalization& p) { return p.mutable_keys(0)->mutable_sensitive(); },
        [](Personalization& p) { return p.mutable_keys(2)->mutable_enveloped(); },
        [](Personalization& p) { return p.mutable_record(); },
        [](Personalization& p) { return p.mutable_central_set(); },
        [](Personalization& p) { return p.mutable_parent()->mutable_sensitive(); },
    };
    const lifecycle::Store store(box.directory());
    const auto file = store.load().personalizations.at(box.epoch());
    for (std::size_t i = 0; i < fields.size(); ++i)
        for (const auto& value : {std::string(64, '\xff'), std::string(file.module_key().object())}) {
            Personalization changed = file;
            *fields[i](changed) = value;
            store.save(changed);
            SCOPED_TRACE("field " + std::to_string(i) + " with " + std::to_string(value.size()) + " bytes");
            use_everything();
        }
    expect_as_before();
}

} // namespace

} // namespace imprint::test
