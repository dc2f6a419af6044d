-- Put in front of a script that writes a job where its key says. Its last key, which is taken
-- away, is the settings of the partition; its last argument, likewise, how many partitions the
-- writer knows. With another number, the job may belong elsewhere, and nothing is written.
do
    local count, settings = table.remove(ARGV), table.remove(KEYS)
    local has = redis.call('HGET', settings, 'of')
    if has ~= count then
        return redis.error_reply('REPARTITIONED ' .. (has or '0'))
    end
end
