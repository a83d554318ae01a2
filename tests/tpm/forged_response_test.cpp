// SPDX-License-Identifier: Apache-2.0
// Answers with wrong lengths in them, as a broken TPM or somebody on its bus may give: what reads them keeps its bounds
// (the sanitizers watch), says what is wrong by an Error, and leaves the TPM as it was.
#include "tests/tpm/fixture.h"

#include "daemon/structures/wrap.h"

#include <random>

namespace imprint::test {

namespace {

using tpm::SecurityModule;

constexpr std::size_t header_size = 10; // tag, size, response code

void put(Octets& response, std::size_t place, std::uint32_t value, std::size_t width)
{
    for (std::size_t i = 0; i < width && place + i < response.size(); ++i)
        response[place + i] = static_cast<std::uint8_t>(value >> 8 * (width - 1 - i));
}

using Forgery = std::function<void(Octets& response, std::mt19937& random)>;

std::size_t somewhere(const Octets& response, std::mt19937& random)
{
    return response.size() <= header_size ? 0 : header_size + random() % (response.size() - header_size);
}

// A size that does not fit what follows; in the header, where the first size of a body stands, and anywhere.
const std::vector<Forgery>& forgeries()
{
    static const std::vector<Forgery> all{
        [](Octets& r, std::mt19937&) { put(r, 2, 0xffffffff, 4); },
        [](Octets& r, std::mt19937&) { put(r, 2, 0, 4); },
        [](Octets& r, std::mt19937&) { put(r, 2, static_cast<std::uint32_t>(r.size() + 1), 4); },
        [](Octets& r, std::mt19937&) { put(r, 2, static_cast<std::uint32_t>(r.size() - 1), 4); },
        [](Octets& r, std::mt19937&) { put(r, header_size, 0xffffffff, 4); },
        [](Octets& r, std::mt19937&) { put(r, header_size + 4, 0xffff, 2); },
        [](Octets& r, std::mt19937& random) { put(r, somewhere(r, random), 0xffff, 2); },
        [](Octets& r, std::mt19937& random) { put(r, somewhere(r, random), 0, 2); },
        [](Octets& r, std::mt19937& random) { put(r, somewhere(r, random), static_cast<std::uint32_t>(random()), 2); },
        [](Octets& r, std::mt19937& random) { r.resize(random() % r.size()); },
        [](Octets& r, std::mt19937& random) { r.resize(r.size() + 1 + random() % 64, 0xff); },
        [](Octets& r, std::mt19937& random) { std::ranges::generate(r, [&] { return std::uint8_t(random()); }); },
    };
    return all;
}

class ForgedResponses : public PreparedTest {
protected:
    // Everything that a personalization reads from the TPM.
    void flow()
    {
        SecurityModule::Work work(*module);
        work.create_module_key(epoch + 1, variation, qualifying);
        module->certify_epoch(qualifying);
        const auto loaded = work.load(sealed.object, work.import(sealed));
        work.unseal(loaded);
    }
    // Forges the answer to command `number` from now on.
    void forge(std::size_t number, const Forgery& forgery)
    {
        wire.falsify = [this, number, last = wire.count() + number, &forgery](std::uint32_t, Octets& response) {
            if (wire.count() == last)
                forgery(response, random);
        };
    }
    // The answer itself may have been good enough, where only its surplus was forged.
    bool refused()
    {
        try {
            flow();
        } catch (const Error&) {
            return true;
        }
        return false;
    }
    void reopen()
    {
        wire.falsify = nullptr;
        module.reset();
        module = open();
    }

    structures::Importable sealed =
        structures::wrap(module->storage_key(), structures::sealed_secret_template(), Secret(anchor));
    std::mt19937 random{15};
};

TEST_F(ForgedResponses, Attack15_LengthsAtEveryCommand)
{
    const std::size_t length = commands([&] { flow(); });
    ASSERT_GT(length, 20U);
    std::size_t refusals = 0, runs = 0;
    for (std::size_t number = 1; number <= length; ++number)
        for (const auto& forgery : forgeries()) {
            reopen();
            forge(number, forgery);
            refusals += refused() ? 1 : 0;
            ++runs;
        }
    EXPECT_GT(refusals, runs / 2) << "of " << runs;
    reopen();
    EXPECT_EQ(module->read_epoch(), epoch);
    flow();
    module.reset();
    open();
    EXPECT_EQ(leaked(), 0U);
}

// What a daemon asks a TPM that it does not know yet: capabilities, endorsement keys, their certificates, the counter.
class ForgedLook : public TpmTest {
protected:
    ForgedLook()
        : TpmTest(SoftwareTpm::Kind::manufactured)
    {
        open()->prepare(anchor);
    }
    std::string look()
    {
        const auto module = open();
        const auto seen = module->look();
        std::string all = hex(seen.storage_key_name) + hex(seen.identity_key_name) + std::to_string(seen.epoch);
        for (const auto& key : module->endorsement_keys())
            all += " " + key.chip_identifier + hex(key.certificate);
        return all + " " + module->capabilities().vendor;
    }
};

TEST_F(ForgedLook, Attack15_LengthsInWhatIsLookedAt)
{
    std::string good;
    const std::size_t length = commands([&] { good = look(); });
    ASSERT_GT(length, 20U);
    std::mt19937 random{15};
    std::size_t refusals = 0;
    for (std::size_t number = 1; number <= length; ++number)
        for (std::size_t i = 0; i < 4; ++i) { // all of them by and by, and each of them everywhere
            const auto& forgery = forgeries().at((number * 5 + i) % forgeries().size());
            wire.falsify = [&, last = wire.count() + number](std::uint32_t, Octets& response) {
                if (wire.count() == last)
                    forgery(response, random);
            };
            refusals += reason_of([&] { look(); }) ? 1 : 0;
            wire.falsify = nullptr;
        }
    EXPECT_GT(refusals, length) << "of " << 4 * length;
    EXPECT_EQ(look(), good);
    EXPECT_EQ(leaked(), 0U);
}

} // namespace
} // namespace imprint::test
