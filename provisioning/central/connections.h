// SPDX-License-Identifier: Apache-2.0
// The connections of the moment, so that they can be ended from outside. Includes Asio: for few translation units.
#pragma once

#include "provisioning/central/certificate_name.h"
#include "provisioning/central/peer.h"
#include "provisioning/server/listener.h"

#include <functional>
#include <list>

namespace imprint::central {

// A device that was let in.
struct Guest {
    Peer peer;
    CertificateNames vouchers; // the certificates that vouch for it, or did when its key was made
    pki::Certificates chain; // themselves, where it showed them
    std::string address;
};

class Connections {
public:
    // At most so many may be in the handshake: when more come, the oldest of them is dropped, so that those who hold
    // their place without a word do not keep out those who speak.
    explicit Connections(std::size_t max_handshakes);

    // A place for a connection, for as long as it lives.
    class Place {
    public:
        Place(Connections& all, server::Stream& stream);
        ~Place();
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        void admit(Guest guest);

    private:
        friend class Connections;
        void move_to(std::list<Place*>& list);
        Connections& all_;
        server::Stream& stream_;
        std::optional<Guest> guest_;
        std::list<Place*>* list_;
        std::list<Place*>::iterator position_;
    };

    // Ends the connections of the guests for whom `unwelcome` says why.
    void end(const std::function<std::optional<Refusal>(const Guest& guest)>& unwelcome);
    void end_all();

private:
    std::size_t max_handshakes_;
    std::list<Place*> handshakes_; // the oldest first
    std::list<Place*> guests_;
    std::list<Place*> dropped_; // closed, and gone when their handlers notice
};

} // namespace imprint::central
