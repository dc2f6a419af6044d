#!lua flags=allow-oom
-- Note attempts whose worker was lost, in the records of their jobs. Whoever reclaims does: the
-- script that reclaims learns only while it runs which jobs these are.
--
-- KEYS[1]   status record of a job; of as many as were lost, in KEYS[1..]
-- ARGV[1]   how many of a job's attempts its record remembers
-- ARGV[2..] of each: the delivery count, the consumer, how long the record is kept from now
--           on, ms (0: not at all)
--
-- Returns how many there were.
--@include history

for i = 1, #KEYS do
    local record, number, consumer, keep = KEYS[i], unpack(ARGV, 3 * i - 1, 3 * i + 1)
    if keep == '0' then
        redis.pcall('DEL', record)
    else
        redis.pcall('HSET', record, remember(
            record, tonumber(ARGV[1]), number, 'worker lost', '0', '0', consumer,
            'its worker stopped answering'
        ))
        redis.pcall('PEXPIRE', record, keep)
    end
end
return #KEYS
