--@include ids
--@include groups

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

-- Delete those of the entries that every group has settled. `own` has settled them
-- all (nil: ask every group). Returns how many were deleted.
local function remove_settled(stream, groups, own, ids)
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
    if #removable > 0 then
        return redis.call('XDEL', stream, unpack(removable))
    end
    return 0
end
