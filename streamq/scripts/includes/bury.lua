-- Write a dead letter: what streamq knows of the death, then the fields that the
-- entry had. Reading it by position keeps the two apart whatever those are called.
-- The entry's data may be gone already; then the letter says so by having none.
local function bury(stream, dlq, id, attempts, consumer, reason, err)
    local letter = {
        'id', id, 'reason', reason, 'error', err,
        'attempts', attempts, 'consumer', consumer,
    }
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if entry then
        for _, field in ipairs(entry[2]) do
            letter[#letter + 1] = field
        end
    end
    return redis.call('XADD', dlq, '*', unpack(letter))
end

local function is_a(key, kind)
    local found = redis.call('TYPE', key)['ok']
    return found == 'none' or found == kind
end

-- Refuse to start when a key of streamq's own holds something else: a script that
-- fails half way would leave half of its work behind.
local function wrong_type(key, kind)
    if not is_a(key, kind) then
        return redis.error_reply('WRONGTYPE the key ' .. key .. ' must be a ' .. kind)
    end
end
