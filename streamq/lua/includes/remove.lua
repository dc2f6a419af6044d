--@include ids
--@include groups
--@include offloaded

-- A function that tells whether a group has settled an entry: it was delivered to
-- the group, and is no longer pending. Made for some ids, to ask as little as possible.
local function settled_by(stream, group, ids)
    local low, high = bounds(ids)
    local pending, asked_to = {}, high
    if group.pending > 0 then
        local most = 2 * #ids
        local rows = redis.call('XPENDING', stream, group.name, low, high, most)
        for i = 1, #rows do
            pending[rows[i][1]] = true
        end
        if #rows == most then
            asked_to = rows[most][1]
        end
    end
    return function(id)
        if before(group.last, id) or pending[id] then
            return false
        end
        return not before(asked_to, id)
            or #redis.call('XPENDING', stream, group.name, id, id, 1) == 0
    end
end

-- Delete entries. `refs`: by entry ID, where its data is if it is kept outside the stream; and
-- `holders` and `unheld`. The data of an entry is let go by whoever deletes it, once.
local function remove(stream, ids, refs)
    local count, others = 0, {}
    for _, id in ipairs(ids) do
        if not refs[id] then
            others[#others + 1] = id
        elseif redis.call('XDEL', stream, id) == 1 then
            let_go(refs.holders, refs.unheld, refs[id])
            count = count + 1
        end
    end
    return #others > 0 and count + redis.call('XDEL', stream, unpack(others)) or count
end

-- Delete those of the entries that every group has settled. `own` has settled them
-- all (nil: ask every group). `refs` as for remove(), nil where none has any. Returns how many
-- were deleted.
local function remove_settled(stream, groups, own, ids, refs)
    if #ids == 0 then
        return 0
    end
    local removable = ids
    for _, group in ipairs(groups) do
        if #removable > 0 and group.name ~= own then
            local kept, settled = {}, settled_by(stream, group, removable)
            for _, id in ipairs(removable) do
                if settled(id) then
                    kept[#kept + 1] = id
                end
            end
            removable = kept
        end
    end
    if refs then
        return remove(stream, removable, refs)
    elseif #removable > 0 then
        return redis.call('XDEL', stream, unpack(removable))
    end
    return 0
end
