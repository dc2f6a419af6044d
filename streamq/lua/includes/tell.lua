-- Those who wait for the end of a job are subscribed to two channels: one of the group, which
-- only tells whether there is anybody, and one of the job. So where nobody waits, a batch
-- costs one question. A user who may not publish settles all the same.

-- The group's channel, if anybody waits.
local function waited_for(dlq)
    local channel = string.sub(dlq, 1, -4) .. 'results'
    local waiting = redis.pcall('PUBSUB', 'SHARDNUMSUB', channel)
    if not waiting.err and waiting[2] > 0 then
        return channel
    end
end

-- Tell that jobs have ended. `letters`: entry ID -> ID of its dead letter, of those that are dead.
local function tell(dlq, ids, letters)
    local channel = waited_for(dlq)
    if channel then
        for _, id in ipairs(ids) do
            local how = letters and letters[id] and 'dead ' .. letters[id] or 'done'
            redis.pcall('SPUBLISH', channel .. ':' .. id, how)
        end
    end
end
