// SPDX-License-Identifier: Apache-2.0
#include "provisioning/authority/authority.h"

#include "daemon/base/file.h"
#include "daemon/pki/public_key.h"
#include "daemon/pki/verify.h"
#include "provisioning/authority/new_directory.h"

#include <algorithm>
#include <charconv>

namespace imprint::authority {

namespace fs = std::filesystem;
using pki::Role;

namespace {

constexpr std::size_t max_pem = 64 * 1024;
constexpr std::size_t max_crl = 8 * 1024 * 1024;
constexpr mode_t public_mode = 0644;
constexpr auto* crl_file = "checking-ca.crl";
// Of a rollover; none of them where there was none.
constexpr auto* former_file = "former.pem";
constexpr auto* links_file = "links.pem";
constexpr auto* former_lists_file = "former.crl";
constexpr std::chrono::hours clock_tolerance{1}; // between this machine and those that check

pki::Validity validity_of(pki::Time now, Days lifetime)
{
    if (lifetime <= Days(0) || lifetime > Days(366 * 200))
        throw Error(Reason::invalid_argument, "a certificate lives for at least one day and at most 200 years");
    return {now - clock_tolerance, now + lifetime};
}

// Nothing outlives its issuer.
pki::Validity validity_below(const pki::Certificate& issuer, pki::Time now, Days lifetime)
{
    auto validity = validity_of(now, lifetime);
    if (now > issuer.not_after())
        throw Error(Reason::certificate_expired, issuer.common_name());
    validity.not_after = std::min(validity.not_after, issuer.not_after());
    return validity;
}

pki::Certificate read_certificate(const fs::path& file)
{
    const auto pem = read_file(file, max_pem);
    if (!pem)
        throw Error(Reason::not_configured, file.string() + " is missing; imprint-authority init makes it");
    const auto certificates = pki::certificates_from_pem(*pem);
    if (certificates.empty())
        throw Error(Reason::not_configured, file.string() + " holds no certificate");
    return certificates.front();
}

// None where there is no such file.
pki::Certificates read_certificates(const fs::path& file)
{
    const auto pem = read_file(file, max_pem);
    return pem ? pki::certificates_from_pem(*pem) : pki::Certificates();
}

// "Example Checking CA", "Example Checking CA G2", ...: roots of different keys have different names.
std::string next_name(const std::string& name)
{
    const auto mark = name.rfind(" G");
    unsigned generation = 1;
    const auto* end = name.data() + name.size();
    if (mark != std::string::npos) {
        const auto [rest, fault] = std::from_chars(name.data() + mark + 2, end, generation);
        if (fault == std::errc() && rest == end)
            return name.substr(0, mark) + " G" + std::to_string(generation + 1);
    }
    return name + " G2";
}

void append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

void check_name(const std::string& name)
{
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos)
        throw Error(Reason::invalid_argument, "not a name, because it is a directory's too: " + name);
}

pki::Key key_at(const std::string& uri, const fs::path& file, const std::optional<Secret>& passphrase)
{
    return pki::load_key(uri.empty() ? file.string() : uri, passphrase);
}

// The key at `uri`, or a fresh one, which is stored.
pki::Key existing_or_new(const std::string& uri, const fs::path& file, const std::string& curve,
                         const std::optional<Secret>& passphrase)
{
    if (!uri.empty())
        return pki::load_key(uri, passphrase);
    auto key = pki::generate_key(curve);
    pki::store_key(file, key.get(), passphrase);
    return key;
}

// The public key from a file, or of a fresh key, which is stored.
Bytes given_or_new(const fs::path& given, const fs::path& file, const std::optional<Secret>& passphrase)
{
    if (!given.empty())
        return pki::read_public_key(given);
    const auto key = pki::generate_key("P-256");
    pki::store_key(file, key.get(), passphrase);
    return pki::spki(key.get());
}

// Writes certificates beside their keys, and remembers them by the names they will have.
class Output {
public:
    // `links` go along with every certificate that the checking key issues: parties that know a former root only need
    // them.
    explicit Output(fs::path place, pki::Certificates links = {})
        : place_(std::move(place))
        , links_(std::move(links))
        , directory_(place_)
    {
    }

    fs::path key(const std::string& name) const { return directory_.path() / (name + ".key"); }

    void certificate(const std::string& name, Role role, const pki::Certificate& certificate)
    {
        pki::Certificates chain{certificate};
        chain.insert(chain.end(), links_.begin(), links_.end());
        write(name + ".pem", pki::to_pem(chain));
        issued_.push_back({place_ / (name + ".pem"), role, certificate});
    }

    void write(const std::string& name, const Bytes& content) const
    {
        write_file(directory_.path() / name, content, public_mode);
    }

    std::vector<Issued> commit()
    {
        directory_.commit();
        return std::move(issued_);
    }

private:
    fs::path place_;
    pki::Certificates links_;
    NewDirectory directory_;
    std::vector<Issued> issued_;
};

void add_tls(Output& output, const pki::Issuer& issuer, Role role, const Request& request, pki::Validity validity)
{
    const auto spki = given_or_new(request.tls_public_key, output.key("tls"), request.passphrase);
    output.certificate("tls", role,
                       request.hosts.empty()
                           ? pki::issue_client(issuer, spki, role, request.name, validity)
                           : pki::issue_server(issuer, spki, role, request.name, request.hosts, validity));
}

// Everything of this kind below the authority's directory.
void collect(std::vector<Issued>& out, const fs::path& directory, const std::string& file, Role role)
{
    std::error_code error;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory, error))
        if (entry.path().filename().string().front() != '.' && fs::exists(entry.path() / file))
            found.push_back(entry.path() / file);
    std::ranges::sort(found);
    for (const auto& path : found)
        out.push_back({path, role, read_certificate(path)});
}

} // namespace

std::vector<Issued> initialize(const fs::path& directory, const std::string& name, const Keys& keys, Days lifetime,
                               pki::Time now)
{
    if (name.empty())
        throw Error(Reason::invalid_argument, "a manufacturer has a name");
    const auto validity = validity_of(now, lifetime);
    Output output(directory);
    const auto checking = existing_or_new(keys.checking, output.key("checking-ca"), "P-384", keys.passphrase);
    const auto root = pki::issue_checking_ca(checking.get(), name + " Checking CA", validity);
    const auto identity = existing_or_new(keys.identity, output.key("identity-ca"), "P-256", keys.passphrase);
    output.certificate("checking-ca", Role::checking_ca, root);
    output.certificate("identity-ca", Role::identity_ca,
                       pki::issue_ca({root, checking.get()}, pki::spki(identity.get()), Role::identity_ca,
                                     name + " Identity CA", validity));
    return output.commit();
}

Authority::Authority(fs::path directory, Keys keys)
    : directory_(std::move(directory))
    , keys_(std::move(keys))
    , checking_(read_certificate(directory_ / "checking-ca.pem"))
    , identity_(read_certificate(directory_ / "identity-ca.pem"))
    , former_(read_certificates(directory_ / former_file))
    , links_(read_certificates(directory_ / links_file))
{
}

pki::Key Authority::checking_key() const
{
    return key_at(keys_.checking, directory_ / "checking-ca.key", keys_.passphrase);
}

std::optional<pki::Crl> Authority::crl() const
{
    const auto pem = read_file(directory_ / crl_file, max_crl);
    if (!pem)
        return std::nullopt;
    return pki::Crl::from_pem(*pem).or_throw();
}

std::vector<Issued> Authority::station(const Request& request, pki::Time now) const
{
    check_name(request.name);
    const auto validity = validity_below(checking_, now, request.lifetime);
    const auto key = checking_key();
    const pki::Issuer issuer{checking_, key.get()};
    Output output(request.output.empty() ? directory_ / "stations" / request.name : request.output, links_);
    const auto signing = given_or_new(request.signing_public_key, output.key("signing"), request.passphrase);
    output.certificate(
        "signing", Role::station_signing,
        pki::issue_ca(issuer, signing, Role::station_signing, request.name, validity, request.identities));
    add_tls(output, issuer, Role::station_tls, request, validity);
    // The identities hang on it: it ends with the checking CA, and can be revoked alone.
    if (request.delegate_identity_ca)
        output.certificate(
            "identity-ca", Role::identity_ca,
            pki::issue_ca(issuer,
                          given_or_new(request.identity_ca_public_key, output.key("identity-ca"), request.passphrase),
                          Role::identity_ca, request.name + " Identity CA",
                          {validity.not_before, checking_.not_after()}, request.identities));
    output.write("trust.pem", trust_bundle());
    return output.commit();
}

std::vector<Issued> Authority::with_tls(const Request& request, const std::string& kind, Role role, pki::Time now) const
{
    check_name(request.name);
    const auto validity = validity_below(checking_, now, request.lifetime);
    const auto key = checking_key();
    Output output(request.output.empty() ? directory_ / kind / request.name : request.output, links_);
    add_tls(output, {checking_, key.get()}, role, request, validity);
    output.write("trust.pem", trust_bundle());
    return output.commit();
}

std::vector<Issued> Authority::archive(const Request& request, pki::Time now) const
{
    return with_tls(request, "archives", Role::archive, now);
}

std::vector<Issued> Authority::central(const Request& request, pki::Time now) const
{
    return with_tls(request, "centrals", Role::central, now);
}

std::vector<Issued> Authority::station_operator(const Request& request, pki::Time now) const
{
    return with_tls(request, "operators", Role::station_operator, now);
}

std::vector<Issued> Authority::mirror(const Request& request, pki::Time now) const
{
    return with_tls(request, "mirrors", Role::mirror, now);
}

std::vector<pki::Certificate> Authority::revoke(const std::vector<fs::path>& files, pki::Time now) const
{
    const auto before = crl();
    auto revoked = before ? pki::revoked_by(*before) : std::vector<pki::Revoked>();
    std::vector<pki::Certificate> fresh;
    for (const auto& file : files) {
        const auto certificate = read_certificate(file);
        if (!pki::signed_by(certificate, checking_) || certificate == checking_)
            throw Error(Reason::invalid_argument, file.string() + " was not issued by this checking CA");
        if (std::ranges::find(revoked, certificate.serial(), &pki::Revoked::serial) != revoked.end())
            continue;
        revoked.push_back({certificate.serial(), now});
        fresh.push_back(certificate);
    }
    if (fresh.empty())
        return fresh;
    const auto key = checking_key();
    // Nobody renews it while nothing is revoked.
    const auto made = pki::issue_crl({checking_, key.get()}, (before ? pki::number_of(*before) : 0) + 1, revoked,
                                     {now - clock_tolerance, checking_.not_after()});
    write_file(directory_ / crl_file, made.pem(), public_mode);
    return fresh;
}

std::vector<Issued> Authority::rollover(const Rollover& next, pki::Time now) const
{
    const auto validity = validity_of(now, next.lifetime);
    const auto present = checking_key();
    Output output(next.output);
    const auto key = existing_or_new(next.checking, output.key("checking-ca"), "P-384", next.passphrase);
    if (pki::spki(key.get()) == checking_.spki())
        throw Error(Reason::invalid_argument, "the next checking key is the present one");
    const auto root = pki::issue_checking_ca(key.get(), next_name(checking_.common_name()), validity);
    output.certificate("checking-ca", Role::checking_ca, root);
    output.certificate(
        "identity-ca", Role::identity_ca,
        pki::issue_ca({root, key.get()}, identity_.spki(), Role::identity_ca, identity_.common_name(), validity));
    if (keys_.identity.empty())
        pki::store_key(output.key("identity-ca"),
                       pki::load_key((directory_ / "identity-ca.key").string(), keys_.passphrase).get(),
                       next.passphrase);

    auto links = links_;
    links.insert(links.begin(), pki::issue_link({checking_, present.get()}, root));
    auto former = former_;
    former.insert(former.begin(), checking_);
    output.write(links_file, pki::to_pem(links));
    output.write(former_file, pki::to_pem(former));
    Bytes lists = former_lists();
    if (const auto list = crl())
        append(lists, list->pem());
    if (!lists.empty())
        output.write(former_lists_file, lists);
    return output.commit();
}

Bytes Authority::former_lists() const { return read_file(directory_ / former_lists_file, max_crl).value_or(Bytes()); }

Bytes Authority::trust_bundle(bool with_former) const
{
    Bytes bundle = pki::to_pem({checking_});
    if (with_former)
        append(bundle, pki::to_pem(former_));
    append(bundle, pki::to_pem({identity_}));
    if (with_former) {
        append(bundle, pki::to_pem(links_));
        append(bundle, former_lists());
    }
    if (const auto list = crl())
        append(bundle, list->pem());
    return bundle;
}

std::vector<Issued> Authority::issued() const
{
    std::vector<Issued> out{{directory_ / "checking-ca.pem", Role::checking_ca, checking_},
                            {directory_ / "identity-ca.pem", Role::identity_ca, identity_}};
    collect(out, directory_ / "stations", "signing.pem", Role::station_signing);
    collect(out, directory_ / "stations", "tls.pem", Role::station_tls);
    collect(out, directory_ / "archives", "tls.pem", Role::archive);
    collect(out, directory_ / "centrals", "tls.pem", Role::central);
    collect(out, directory_ / "operators", "tls.pem", Role::station_operator);
    collect(out, directory_ / "mirrors", "tls.pem", Role::mirror);
    return out;
}

} // namespace imprint::authority
