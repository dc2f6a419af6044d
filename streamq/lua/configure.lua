#!lua flags=allow-oom
-- Set what all workers of a stream have to agree on. With `retain`, a group keeps its place
-- between settled entries that are kept and those that may go: none is deleted before it.
--
-- KEYS[1]   stream
-- KEYS[2]   settings of the stream
-- ARGV[1..] pairs: setting, its value, or '' for none
--
-- Returns the value that each setting had before, '' for none.
--@include rights

local stream, settings = KEYS[1], KEYS[2]
local needs = {
    { 'HGET', settings, 'a' }, { 'HSET', settings, 'a', 'b' }, { 'HDEL', settings, 'a' },
}
for i = 1, #ARGV, 2 do
    if ARGV[i] == 'retain' then
        needs[#needs + 1] = ARGV[i + 1] ~= '' and { 'XGROUP', 'CREATE', stream, '~retain', '0' }
            or { 'XGROUP', 'DESTROY', stream, '~retain' }
    end
end
local denied = not_permitted(needs)
if denied then
    return denied
end
redis.call('HGET', settings, 'retain') -- says so when it is no hash, before anything is written

local before = {}
for i = 1, #ARGV, 2 do
    local name, value = ARGV[i], ARGV[i + 1]
    if name == 'retain' and value ~= '' then
        local made = redis.pcall('XGROUP', 'CREATE', stream, '~retain', '0', 'MKSTREAM')
        if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
            return made
        end
    elseif name == 'retain' then
        redis.pcall('XGROUP', 'DESTROY', stream, '~retain') -- of a stream that may not exist
    end
    before[#before + 1] = redis.call('HGET', settings, name) or ''
    if value == '' then
        redis.call('HDEL', settings, name)
    else
        redis.call('HSET', settings, name, value)
    end
end
return before
