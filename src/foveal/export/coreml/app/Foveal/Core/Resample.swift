/// Bilinear scaling with antialiasing, in whole numbers: the same bits on every machine.
///
/// docs/bundle-format.md of foveal defines it under "Scaling". The scaling of Core Graphics, Core
/// Image and Vision is another one, so none of them is used.
enum Resample {
    private static let places = 22
    private static let half: Int32 = 1 << 21
    /// A picture is averaged in cells as long as the filter still has this much to do.
    private static let gap = 3

    /// Where one side looks: for each pixel of the result, its first pixel and their weights.
    private struct Side {
        var firsts: [Int] = []
        var starts: [Int] = [0]
        var weights: [Int32] = []

        func range(_ index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }
    }

    /// Scale a picture to a size.
    static func resized(_ pixels: Pixels, height: Int, width: Int) -> Pixels {
        if pixels.height == height && pixels.width == width {
            return pixels
        }
        let down = max(1, pixels.height / (gap * height))
        let across = max(1, pixels.width / (gap * width))
        let small = reduced(pixels, down: down, across: across)
        let rows = side(
            size: small.height, end: Double(pixels.height) / Double(down), length: height)
        let columns = side(
            size: small.width, end: Double(pixels.width) / Double(across), length: width)
        // The pass that leaves fewer pixels to the other comes first.
        if small.height > height && small.height - height > 2 * (small.width - width) {
            return alongRows(alongColumns(small, rows, height), columns, width)
        }
        return alongColumns(alongRows(small, columns, width), rows, height)
    }

    /// Average cells of pixels; those at the right and at the bottom may hold fewer.
    private static func reduced(_ pixels: Pixels, down: Int, across: Int) -> Pixels {
        if down == 1 && across == 1 {
            return pixels
        }
        let height = (pixels.height + down - 1) / down
        let width = (pixels.width + across - 1) / across
        var result = [UInt8](repeating: 0, count: 3 * height * width)
        pixels.data.withUnsafeBufferPointer { data in
            for row in 0..<height {
                let top = row * down
                let bottom = min(pixels.height, top + down)
                for column in 0..<width {
                    let left = column * across
                    let right = min(pixels.width, left + across)
                    let count = UInt64((bottom - top) * (right - left))
                    let factor = (UInt64(1) << 24) / count
                    for channel in 0..<3 {
                        var sum: UInt64 = 0
                        for y in top..<bottom {
                            for x in left..<right {
                                sum &+= UInt64(data[3 * (y * pixels.width + x) + channel])
                            }
                        }
                        result[3 * (row * width + column) + channel] = UInt8(
                            ((sum + count / 2) * factor) >> 24)
                    }
                }
            }
        }
        return Pixels(height: height, width: width, data: result)
    }

    /// The weights of one side; the content reaches from 0 to `end`.
    private static func side(size: Int, end: Double, length: Int) -> Side {
        var made = Side()
        let scale = Double(Float(end)) / Double(length)
        let support = max(scale, 1)
        for index in 0..<length {
            let centre = (Double(index) + 0.5) * scale
            let first = max(0, Int(centre - support + 0.5))
            let last = min(size, Int(centre + support + 0.5))
            var shares: [Double] = []
            var total = 0.0
            for pixel in first..<last {
                let distance = abs((Double(pixel) - centre + 0.5) * (1 / support))
                let share = max(0, 1 - distance)
                shares.append(share)
                total += share
            }
            made.firsts.append(first)
            for share in shares {
                made.weights.append(Int32(share / total * Double(1 << places) + 0.5))
            }
            made.starts.append(made.weights.count)
        }
        return made
    }

    private static func alongRows(_ pixels: Pixels, _ side: Side, _ width: Int) -> Pixels {
        var result = [UInt8](repeating: 0, count: 3 * pixels.height * width)
        pixels.data.withUnsafeBufferPointer { data in
            side.weights.withUnsafeBufferPointer { weights in
                for row in 0..<pixels.height {
                    for column in 0..<width {
                        var from = 3 * (row * pixels.width + side.firsts[column])
                        var red = half
                        var green = half
                        var blue = half
                        for place in side.range(column) {
                            let weight = weights[place]
                            red &+= Int32(data[from]) &* weight
                            green &+= Int32(data[from + 1]) &* weight
                            blue &+= Int32(data[from + 2]) &* weight
                            from += 3
                        }
                        let to = 3 * (row * width + column)
                        result[to] = rounded(red)
                        result[to + 1] = rounded(green)
                        result[to + 2] = rounded(blue)
                    }
                }
            }
        }
        return Pixels(height: pixels.height, width: width, data: result)
    }

    private static func alongColumns(_ pixels: Pixels, _ side: Side, _ height: Int) -> Pixels {
        let stride = 3 * pixels.width
        var result = [UInt8](repeating: 0, count: height * stride)
        var sums = [Int32](repeating: half, count: stride)
        pixels.data.withUnsafeBufferPointer { data in
            for row in 0..<height {
                for index in 0..<stride {
                    sums[index] = half
                }
                var from = side.firsts[row] * stride
                for place in side.range(row) {
                    let weight = side.weights[place]
                    for index in 0..<stride {
                        sums[index] &+= Int32(data[from + index]) &* weight
                    }
                    from += stride
                }
                for index in 0..<stride {
                    result[row * stride + index] = rounded(sums[index])
                }
            }
        }
        return Pixels(height: height, width: pixels.width, data: result)
    }

    /// Weights are positive and sum to 1 but for their rounding: only the top can be passed.
    private static func rounded(_ sum: Int32) -> UInt8 {
        UInt8(min(255, sum >> Int32(places)))
    }
}
