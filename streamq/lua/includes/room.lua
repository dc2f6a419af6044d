--@include groups

-- How many entries of a stream wait to be settled: all that it has, or, where settled ones
-- are retained, those that the group furthest behind has not settled. Where the server does
-- not know a group's lag, all entries count. A stream with fewer than `enough` is not looked
-- at more closely: it has no more than that.
local function backlog_of(stream, enough)
    local length = redis.call('XLEN', stream)
    if length < enough then
        return length
    end
    local retained, most = false, nil
    for _, group in ipairs(groups_of(stream)) do
        if group.name == '~retain' then
            retained = true
        else
            most = math.max(most or 0, (group.lag or length) + group.pending)
        end
    end
    return retained and most and math.min(most, length) or length
end
