-- Hand an entry to the consumer of the parked ones and note when it is due. It stays
-- in the pending entries list, so a lost set costs a delay and no job. With `count`
-- the delivery count is set. Returns whether the entry still exists.
local PARKED = '~retry'

-- The consumer of those that flow control holds back.
local HELD = '~held'

local function park(stream, retry, group, id, due, count)
    local claimed
    if count then
        claimed = redis.call('XCLAIM', stream, group, PARKED, 0, id, 'RETRYCOUNT', count, 'JUSTID')
    else
        claimed = redis.call('XCLAIM', stream, group, PARKED, 0, id, 'JUSTID')
    end
    if #claimed == 0 then
        return false
    end
    redis.call('ZADD', retry, due, id)
    return true
end
