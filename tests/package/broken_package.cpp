// SPDX-License-Identifier: Apache-2.0
#include "tests/package/broken_package.h"

#include "daemon/structures/marshal.h"

#include <algorithm>
#include <memory>

namespace imprint::test {

namespace {

using package::DataPackage;

package::Entry& child(DataPackage& package, int which = 0)
{
    for (auto& entry : *package.mutable_entries())
        if (entry.has_sensitive() && which-- == 0)
            return entry;
    throw Error(Reason::internal, "the package has too few keys under a parent");
}

void flip(std::string& text, std::size_t at) { text[at] = static_cast<char>(text[at] ^ 1); }

// The parent's wrap with another public area than it was made for.
void change_area(DataPackage& package, const std::function<void(TPMT_PUBLIC&)>& change)
{
    auto object = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(package.parent().object())).or_throw();
    change(object.publicArea);
    object.size = 0; // marshalled anew
    package.mutable_parent()->set_object(to_string(structures::marshal(object)));
}

// By its form alone.
std::vector<BrokenPackage> malformed()
{
    constexpr auto reason = Reason::package_invalid;
    return {
        {"children without a parent", [](auto& p) { p.clear_parent(); }, reason},
        {"a parent without children",
         [](DataPackage& p) {
             const auto children = std::ranges::remove_if(*p.mutable_entries(), &package::Entry::has_sensitive);
             p.mutable_entries()->erase(children.begin(), children.end());
         },
         reason},
        {"a parent with other attributes",
         [](auto& p) { change_area(p, [](auto& area) { area.objectAttributes &= ~TPMA_OBJECT_NODA; }); }, reason},
        {"a parent with a policy",
         [](auto& p) {
             change_area(p, [](auto& area) { area.authPolicy = structures::to_tpm2b<TPM2B_DIGEST>(Bytes(32, 7)); });
         },
         reason},
        {"a parent off its curve", [](auto& p) { flip(*p.mutable_parent()->mutable_object(), 60); }, reason},
        {"a child with a seed", [](auto& p) { child(p).set_seed(p.parent().seed()); }, reason},
    };
}

// As only the TPM can tell.
std::vector<BrokenPackage> unfit(const TPMT_PUBLIC& storage_key)
{
    constexpr auto reason = Reason::tpm_refused;
    const auto other = std::make_shared<SoftwareParent>();
    std::vector<BrokenPackage> all{
        {"another parent", [other, storage_key](auto& p) { *p.mutable_parent() = other->wrapped_for(storage_key); },
         reason},
        {"another parent's public area",
         [other, storage_key](auto& p) { p.mutable_parent()->set_object(other->wrapped_for(storage_key).object()); },
         reason},
        {"a child of another parent", [other](auto& p) { child(p) = other->child(child(p).label()); }, reason},
        {"another key's public area", [other](auto& p) { child(p).set_object(other->child("key").object()); }, reason},
        {"two children with each other's sensitive area",
         [](auto& p) { child(p).mutable_sensitive()->swap(*child(p, 1).mutable_sensitive()); }, reason},
        {"a flipped byte of the parent's wrap",
         [](auto& p) { flip(*p.mutable_parent()->mutable_duplicate(), p.parent().duplicate().size() - 1); }, reason},
    };
    for (const std::size_t at : {4U, 40U, 60U, 90U})
        all.push_back({"the child's sensitive area, flipped at " + std::to_string(at),
                       [at](auto& p) { flip(*child(p).mutable_sensitive(), at); }, reason});
    return all;
}

} // namespace

std::vector<BrokenPackage> broken_packages(const TPMT_PUBLIC& storage_key)
{
    auto all = malformed();
    std::ranges::move(unfit(storage_key), std::back_inserter(all));
    return all;
}

} // namespace imprint::test
