#!lua
-- Keep data outside the stream, and run the script that writes its entry, or neither. That
-- script stands where the line says so.
--
-- KEYS[1]   and on: those of the script; the last is the string that takes the data
-- ARGV[1..] those of the script; the last is the data
--
-- Returns what the script returns. Where this is a list with a 0, 3 or 4 in second place, it
-- has written nothing, and the data is not kept either.

local key, data = table.remove(KEYS), table.remove(ARGV)
if not redis.acl_check_cmd('SET', key, 'a') then
    return redis.error_reply('NOPERM streamq needs set ' .. key)
end

local function write()
--@script
end

-- A call that is repeated finds its own data there, and leaves it whatever the script says.
local is_new = redis.call('SET', key, data, 'NX')
local done, reply = pcall(write)
local WROTE_NOTHING = { [0] = true, [3] = true, [4] = true }
local refused = not done or type(reply) == 'table' and (reply.err or WROTE_NOTHING[reply[2]])
if refused and is_new then
    redis.call('DEL', key)
end
if not done then
    return type(reply) == 'table' and reply or redis.error_reply(tostring(reply))
end
return reply
