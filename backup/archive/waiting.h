// SPDX-License-Identifier: Apache-2.0
// The connections that wait for their peers. Where there is no room for another one, the longest wait ends: an honest
// peer is soon done, whoever only holds a place is not.
#pragma once

#include "provisioning/server/listener.h"

#include <list>

namespace imprint::archive {

class Waiting {
public:
    enum class For { request, rest }; // the next request, or anything in the middle of one

    // One connection's wait, for as long as this lives.
    class Turn {
    public:
        Turn(Waiting& waiting, server::Stream& stream, For what)
            : waiting_(waiting)
            , place_(waiting.waits_.insert(waiting.waits_.end(), {&stream, what}))
        {
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() { waiting_.waits_.erase(place_); }

    private:
        Waiting& waiting_;
        std::list<std::pair<server::Stream*, For>>::iterator place_;
    };

    void end_longest()
    {
        if (!waits_.empty())
            waits_.front().first->close();
    }
    // Of those who are owed nothing. They may say farewell.
    void end_idle()
    {
        for (const auto& [stream, what] : waits_)
            if (what == For::request)
                stream->cancel();
    }

private:
    std::list<std::pair<server::Stream*, For>> waits_; // the longest first
};

} // namespace imprint::archive
