// SPDX-License-Identifier: Apache-2.0
// A device whose records are public.
#pragma once

#include "tests/device/fixture.h"
#include "tests/device/test_archive.h"

namespace imprint::test {

class Recovery : public DeviceTest {
protected:
    // The archive as it stands after what the station has recorded.
    void publish(std::uint64_t sequence)
    {
        const auto record = station.store().record(box.chip(), sequence).value().record;
        archive.publish(box.chip(), sequence, record, manufacturer().archive);
        records_[sequence] = record;
    }
    // An operating device whose record is public.
    void bring_up_and_publish()
    {
        box.personalize(station, true);
        publish(box.epoch());
    }
    void lose_disk()
    {
        box.lose_disk();
        box.boot();
    }
    void clear_tpm()
    {
        box.tpm.clear();
        box.boot();
    }
    // What there is in the TPM: persistent and transient objects, sessions, indices.
    std::string handles() const
    {
        std::string all;
        for (const std::uint8_t range : Bytes{0x80, 0x81, 0x01, 0x02, 0x03}) {
            const Bytes ask{0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 0x01, range, 0, 0, 0, 0, 0, 0, 0x40};
            all += hex(box.tpm.send(ask)) + "\n";
        }
        return all;
    }
    void expect_refused(BytesView record, Reason reason, const std::string& what)
    {
        const auto before = box.files();
        const auto state = box.state();
        EXPECT_EQ(reason_of([&] { box.restore(record); }), reason) << what;
        EXPECT_EQ(box.files(), before) << what;
        EXPECT_EQ(name(box.state()), name(state)) << what;
    }

    TestArchive archive;
    std::map<std::uint64_t, Bytes> records_;
};

} // namespace imprint::test
