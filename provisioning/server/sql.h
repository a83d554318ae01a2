// SPDX-License-Identifier: Apache-2.0
// Byte strings in and out of SQLite statements, and the rows of a query; for the files of stores.
#pragma once

#include "daemon/base/bytes.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <vector>

namespace imprint::server::sql {

inline void bind(SQLite::Statement& statement, int index, BytesView blob)
{
    // An empty blob still is one: a null pointer would bind NULL.
    statement.bind(index, blob.empty() ? "" : static_cast<const void*>(blob.data()), static_cast<int>(blob.size()));
}

inline Bytes blob(const SQLite::Column& column)
{
    const auto* begin = static_cast<const std::uint8_t*>(column.getBlob());
    return begin == nullptr ? Bytes{} : Bytes(begin, begin + column.getBytes());
}

// What `read` makes of each row, in their order.
template <class Read>
auto rows(SQLite::Statement& query, Read read)
{
    std::vector<decltype(read(query))> all;
    while (query.executeStep())
        all.push_back(read(query));
    return all;
}

} // namespace imprint::server::sql
