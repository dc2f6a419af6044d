-- Let all know that the schedules of a stream are other ones now; returns their version.
local function changed(schedules)
    local time = redis.call('TIME')
    local version = string.format('%d%06d', time[1], time[2])
    redis.call('HSET', schedules, 'version', version)
    return version
end
