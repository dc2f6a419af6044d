-- Data that is kept outside the stream: the field `ref` of an entry says how large it is and
-- where. `holders` (a hash) counts the entries and dead letters that have the same data, where
-- these are more than one. `unheld` (a sorted set) has what nobody holds any more, until a
-- client has deleted the data itself.
--
-- Whatever copies an entry calls hold(), and whatever deletes one let_go().

-- Where the data is of an entry with these fields, from position `first` on; nil for data that is
-- in the entry, as nearly all is.
local function ref_of(fields, first)
    for i = first, #fields, 2 do
        if fields[i] == 'ref' then
            return string.match(fields[i + 1], '^%d+:([%w:]+)$')
        end
    end
end

local function hold(holders, ref)
    local count = tonumber(redis.call('HGET', holders, ref) or 1)
    redis.call('HSET', holders, ref, count + 1)
end

local function let_go(holders, unheld, ref)
    local count = tonumber(redis.call('HGET', holders, ref) or 1)
    if count > 2 then
        redis.call('HSET', holders, ref, count - 1)
    elseif count == 2 then
        redis.call('HDEL', holders, ref)
    else
        redis.call('ZADD', unheld, 0, ref)
    end
end
