/// A picture: `height` rows of `width` pixels, red, green and blue, 8 bits each.
struct Pixels: Equatable, Sendable {
    let height: Int
    let width: Int
    let data: [UInt8]

    init(height: Int, width: Int, data: [UInt8]) {
        precondition(data.count == 3 * height * width, "3 bytes for each pixel")
        self.height = height
        self.width = width
        self.data = data
    }

    /// A picture of one colour.
    init(height: Int, width: Int, color: [Int]) {
        var data = [UInt8](repeating: 0, count: 3 * height * width)
        for index in data.indices {
            data[index] = UInt8(color[index % 3])
        }
        self.init(height: height, width: width, data: data)
    }

    /// A part of the picture.
    func cropped(top: Int, left: Int, height: Int, width: Int) -> Pixels {
        var part = [UInt8]()
        part.reserveCapacity(3 * height * width)
        for row in top..<(top + height) {
            let start = 3 * (row * self.width + left)
            part.append(contentsOf: data[start..<(start + 3 * width)])
        }
        return Pixels(height: height, width: width, data: part)
    }

    /// The picture turned and mirrored as an EXIF orientation, 1 to 8, says.
    func upright(orientation: Int) -> Pixels {
        guard (2...8).contains(orientation) else {
            return self
        }
        let isTurned = orientation >= 5
        let (rows, columns) = isTurned ? (width, height) : (height, width)
        let fromBottom = [3, 4, 7, 8].contains(orientation)
        let fromRight = [2, 3, 6, 7].contains(orientation)
        var turned = [UInt8]()
        turned.reserveCapacity(data.count)
        for row in 0..<rows {
            let y = fromBottom ? rows - 1 - row : row
            for column in 0..<columns {
                let x = fromRight ? columns - 1 - column : column
                let at = 3 * (isTurned ? x * width + y : y * width + x)
                turned.append(contentsOf: data[at..<(at + 3)])
            }
        }
        return Pixels(height: rows, width: columns, data: turned)
    }
}
