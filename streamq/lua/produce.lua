#!lua
-- Write an entry; only where its data is kept outside the stream, see with_data.lua.
--
-- KEYS[1]   stream
-- ARGV[1..] field, value, ... of the entry
--
-- Returns the ID of the entry.

return redis.call('XADD', KEYS[1], '*', unpack(ARGV))
