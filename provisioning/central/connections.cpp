// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/connections.h"

#include "provisioning/server/log.h"

namespace imprint::central {

Connections::Connections(std::size_t max_handshakes)
    : max_handshakes_(max_handshakes)
{
}

Connections::Place::Place(Connections& all, server::Stream& stream)
    : all_(all)
    , stream_(stream)
    , list_(&all.handshakes_)
    , position_(all.handshakes_.insert(all.handshakes_.end(), this))
{
    if (all.handshakes_.size() <= all.max_handshakes_)
        return;
    Place* oldest = all.handshakes_.front();
    oldest->stream_.close();
    oldest->move_to(all.dropped_);
}

Connections::Place::~Place() { list_->erase(position_); }

void Connections::Place::move_to(std::list<Place*>& list)
{
    list.splice(list.end(), *list_, position_);
    list_ = &list;
}

void Connections::Place::admit(Guest guest)
{
    guest_ = std::move(guest);
    move_to(all_.guests_);
}

void Connections::end(const std::function<std::optional<Refusal>(const Guest& guest)>& unwelcome)
{
    for (Place* place : guests_) {
        const auto why = unwelcome(*place->guest_);
        if (!why)
            continue;
        log(server::Priority::notice, "connection ended",
            {{"PEER", place->guest_->address},
             {"CHIP", place->guest_->peer.chip},
             {"REASON", std::string(name(why->reason))},
             {"DETAIL", why->detail}});
        place->stream_.close();
    }
}

void Connections::end_all()
{
    for (auto* list : {&handshakes_, &guests_})
        for (Place* place : *list)
            place->stream_.close();
}

} // namespace imprint::central
