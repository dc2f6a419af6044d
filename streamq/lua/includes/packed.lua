-- The fields of a job for later; nil for what streamq did not write, which is left alone.
local function fields_of(packed)
    local unpacked, fields = pcall(cmsgpack.unpack, packed)
    if not unpacked or type(fields) ~= 'table' or #fields == 0 or #fields % 2 == 1 then
        return nil
    end
    for _, field in ipairs(fields) do
        if type(field) ~= 'string' and type(field) ~= 'number' then
            return nil
        end
    end
    return fields
end
