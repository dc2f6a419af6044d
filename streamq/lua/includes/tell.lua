-- Those who wait for the end of a job are subscribed to two channels: one of the group, which
-- only tells whether there is anybody, and one of the job. Those who follow a group are
-- subscribed to the first one, too, and to a third (includes/follow.lua). So where nobody
-- listens, a batch costs one question. A user who may not publish settles all the same.

-- The group's channels, each nil where nobody listens: that of those who wait, and that of those
-- who follow. `group`: what the names of its keys begin with.
local function listened_to(group)
    local waiting, following = group .. 'results', group .. 'tail'
    local count = redis.pcall('PUBSUB', 'SHARDNUMSUB', waiting)
    if count.err or count[2] == 0 then
        return nil, nil
    end
    count = redis.pcall('PUBSUB', 'SHARDNUMSUB', following)
    return waiting, count[2] > 0 and following or nil
end

-- Tell those who wait that jobs have ended. `letters`: entry ID -> ID of its dead letter, of those
-- that are dead.
local function tell(channel, ids, letters)
    if channel then
        for _, id in ipairs(ids) do
            local how = letters and letters[id] and 'dead ' .. letters[id] or 'done'
            redis.pcall('SPUBLISH', channel .. ':' .. id, how)
        end
    end
end
