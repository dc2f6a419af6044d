-- An entry from a foreign producer has no field `data`: its other fields are its data.
local function is_native(fields, first)
    for i = first, #fields, 2 do
        if fields[i] == 'data' then
            return true
        end
    end
    return false
end

-- A foreign entry's fields, from position `first` on, as streamq would have written
-- them: the type, and the rest as JSON in `data`.
local function as_native(fields, first)
    local native, data = {}, {}
    for i = first, #fields, 2 do
        if fields[i] == 'type' then
            native = { 'type', fields[i + 1] }
        else
            data[fields[i]] = fields[i + 1]
        end
    end
    native[#native + 1] = 'data'
    native[#native + 1] = cjson.encode(data)
    return native
end
