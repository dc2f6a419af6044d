--@include remove

-- Whether an entry is in the stream, and at least one group has not settled it. Where there
-- is no group it is queued, for the first one. What is no entry ID is in no stream.
local function unsettled(stream, id)
    if not string.match(id, '^%d+%-%d+$') then
        return false
    end
    -- pcall: a key that was written by hand may hold numbers that are beyond an ID.
    if #redis.pcall('XRANGE', stream, id, id) == 0 then
        return false
    end
    local readers = 0
    for _, group in ipairs(groups_of(stream)) do
        if group.name ~= '~retain' then -- which is no reader: it keeps what is settled
            readers = readers + 1
            if not settled_by(stream, group, { id })(id) then
                return true
            end
        end
    end
    return readers == 0
end
